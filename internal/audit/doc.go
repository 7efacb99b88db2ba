// Package audit writes security events to the stream AUDIT: denials, refusals,
// limits hit, kicks, revocations, changes by operators. Any part may record, none
// ever waits for it.
//
// Equal events are folded, so that somebody who is refused a thousand times a
// second makes one record a second, then one a minute, with the count in it:
//
//	Record ─▶ table of open records ── the fold has waited its time ─▶ audit.<kind> ─▶ stream AUDIT
//	             one for each (kind, user, address, subject, reason)      acknowledged, or again
//
// A record waits Options.Window for more of its kind. One that goes on waits
// twice as long each time, up to Options.MaxWindow. While the stream does not
// acknowledge, records stay in the table and go on folding. Nothing is dropped
// silently: somebody with too many different events gets a record that sums them
// up (various), and what finds the table full is counted in a record of kind
// overflow. Over all records, the counts add up to the events.
//
// The neighbours: internal/engine makes the connection and the stream; gateway,
// authcallout and admin have the events, and app hands them over.
package audit
