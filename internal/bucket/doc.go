// Package bucket keeps a JetStream key-value bucket in memory, one value of one
// type under each key, and writes to it. `nats kv get BUCKET KEY` shows a value.
//
// The whole bucket is watched, so that a look-up costs no round trip. A write goes
// to the bucket, guarded by the revision that it was decided on, and returns once
// the watched view shows it: what is written holds at once on the same node; other
// nodes follow within milliseconds.
//
//	Edit ──compare and swap──▶ bucket ──watch──▶ view ──▶ Get, Page, Read
//	  ▲                                            │ └──▶ OnChange
//	  └────────── waits for its revision ──────────┘
//
// What cannot be read is logged by key, never by value, and counts as Broken.
//
// A watch that breaks (the connection, the consumer, the bucket made anew) is
// not resumed: the bucket is loaded again as a whole beside the old view, which
// serves until then, and what differs is announced. So nothing is missed however
// the watch broke; Ready tells that the view may be behind.
//
// internal/directory/kv keeps conversations in one, internal/keyring the named
// keys in another.
package bucket
