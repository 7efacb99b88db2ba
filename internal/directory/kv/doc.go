// Package kv is the directory in a JetStream key-value bucket: one key per
// conversation, its id, one JSON value, the conversation. `nats kv get directory
// c1` shows it.
//
// The whole bucket is watched into memory, so that a look-up costs no round
// trip. A write goes to the bucket, guarded by the revision that it was decided
// on, and returns once the watched view shows it: who creates a conversation can
// publish to it at once, on the same node; other nodes follow within
// milliseconds.
//
//	Create ──compare and swap──▶ bucket ──watch──▶ view ──▶ Conversation, OfUser, List
//	   ▲                                             │ └───▶ OnChange
//	   └────────── waits for its revision ───────────┘
//
// What cannot be read (broken JSON, an id that is not the key's) is logged by
// key, never by value, and counts as unknown.
//
// A watch that breaks (the connection, the consumer, the bucket made anew) is
// not resumed: the bucket is loaded again as a whole beside the old view, which
// serves until then, and what differs is announced. So nothing is missed however
// the watch broke; Ready tells that the view may be behind.
package kv
