// Package mark remembers how far the statuses of each resumable connection are
// known to have arrived, so that the browser's next connection goes on from there.
//
//	gateway ──▶ Holder, one for each connection ──▶ Store ◀── Keeper ◀──▶ stream MARKS
//
// A connection is known by its Key: its user, and the name that its browser gave
// it. While it is open its marks are its Holder's. When it ends they are away: the
// next connection with the same key takes them over, or they are forgotten after
// Options.Keep.
//
//	          Open                Close                  Keep is over
//	(nothing) ────▶ held by one ───────▶ away ──────────────────────▶ (forgotten)
//	                 or several  ◀─────── │
//	                               Open   │ another one needs the room ▶ (forgotten)
//
// Whenever it is not sure how far something has arrived, the lower place counts:
// what comes twice can be told apart by its sequence, what is missing cannot be
// seen at all.
package mark
