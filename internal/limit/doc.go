// Package limit decides whether one more of something is still allowed.
//
// It is pure: what happened and the time go in, a Verdict comes out. It opens
// nothing, reads no clock and writes no text; the gateway asks it and says the
// refusal (internal/refusal). There are seven deciders:
//
//	Meter       one connection: subscriptions, categories, operations a second
//	FrameMeter  one connection: WebSocket frames that bring no operation, a second
//	Changes     one user on this node: subscription changes a minute
//	Counters    how many at once, by key: connections of a user, of an address
//	Windows     how many in a while, by key: failed logins of an address, changes of a user's grant
//	Rates       how many a second, by key: upgrades of an address
//	Rate        how many a second, all together: upgrades
//
// A Meter and a FrameMeter have no lock: they belong to their connection. The
// others are safe for concurrent use.
//
// # One SUB
//
// A SUB that is refused for one reason must not be counted for another, so the
// order is:
//
//	v := meter.Sub(op)                    // refused: nothing was counted
//	v = changes.Sub(now, subject)         // refused: meter.Unsub(op)
//	…                                     // UNSUB: meter.Unsub(op), changes.Unsub(now)
//
// # Dry run
//
// Each Rule can be in dry-run. It counts as always and its Verdict has all the
// figures of a refusal, but Refused is false and the caller goes on. What a rule
// in dry-run lets pass is held as well, so Used may then exceed Limit.
//
// # Time
//
// Every now is expected not to go back. One that is a little older than another
// goroutine's is taken for the newest one seen; it never gains anything.
package limit
