// Package audit writes security events to two streams: denials, refusals and limits
// hit to AUDIT, what administrators do and what follows from it to AUDIT_ADMIN. Any
// part may record, none ever waits for it.
//
// An act of an administrator is a record of its own, written at once, by a goroutine
// that does nothing else: what strangers do cannot fold it, hold it up or push it out
// of its stream. Everything else is noise in somebody's hands, and bounded. Equal
// events of a user and a network are folded, so that somebody who is refused a
// thousand times a second makes one record a second, then one a minute, with the
// count in it:
//
//	act ───▶ queue ── in order, until it is acknowledged ──────────▶ audit.admin.<kind> ─▶ AUDIT_ADMIN
//	event ─▶ table of open records ── one has waited its time ─────▶ audit.<kind> ──────▶ AUDIT
//	           one for strangers, one for users
//
// A record waits Options.Window for more of its kind. One that goes on waits twice
// as long each time, up to Options.MaxWindow. While the stream does not acknowledge,
// records stay in the table and go on folding.
//
// A new record has to be paid for, by the share of its user or network (Share) and by
// the budget of all strangers or all users (Budget), so that nobody washes out what is
// kept. Nothing is dropped silently: who has used up its share gets one record that
// counts (kind overflow, with whose it is), and so does, together, what finds no
// budget and no room in the table (kind overflow, with the limit's name). Over all
// records of AUDIT, the counts add up to the events.
//
// The neighbours: internal/engine makes the connection and the streams; internal/noise
// cleans texts; gateway, authcallout and admin have the events, and app hands them over.
package audit
