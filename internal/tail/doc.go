// Package tail keeps the newest statuses of many topics in bounded memory, for
// those who come back. It knows nobody: who owns a Tail says what passes, what can
// no longer be had, and whom to make room for.
//
//	newest ◀── Add ── a topic's Tail: 12 13 15 │ forgotten up to 11
//	                                           ▼
//	After(place): everything behind the place, or "not covered": read the stream
//
// A Tail answers only when it is sure to have everything behind a place that has
// passed its topic. It knows how far it is not: Begin says where the topic began,
// and whatever it lets go of moves that on.
//
// All tails of a Store have one bound together, and each one of its own. When all
// of them have too much, Over says so: the owner ends those that nobody uses, or
// has DropOldest take the oldest status of all.
package tail
