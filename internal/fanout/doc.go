// Package fanout subscribes upstream once for each subject with local interest
// and hands every message to all who want it.
//
//	nats-server ──▶ shard ──▶ topic ──▶ recovery rule ──▶ receivers
//	                            │  hole: fetch what is missing, then go on
//	                            ▼
//	                     Repair (direct get on the STATUS stream)
//
// A topic is one upstream subscription: a subject, literal or wildcard, and a
// queue group if there is one. Its messages pass one after the other: the
// recovery rule compares each status's sequence with the last one of its
// subject and either delivers it, drops it as a double, or finds a hole. While a
// hole is mended, what arrives for that topic waits; other topics go on. The
// topics of one queue group share their messages instead (group.go).
//
// Who was here before begins at a Place instead of at what is live. What the topic
// remembers (remember.go) it is handed at once, if that is all that it has missed;
// else a catchUp reads the stream for that one subscription, holds back what comes
// live meanwhile, and steps aside when its receiver is where the topic is. What is
// remembered is no authority: stream.go says when it does not hold.
//
// A status that was stored and never came, with none behind it that would show
// the hole, is found by asking the stream: from time to time, and at once when it
// is likely (check.go).
//
// Delivery never blocks: a Receiver takes the message or deals with being slow
// by itself. When the last receiver of a topic leaves, the topic is kept for a
// while, for those who come back (kept.go), then the upstream subscription ends and
// nothing of the topic is left.
package fanout
