// Package broadcaster is the way in for statuses, from both ends.
//
// Broadcaster is the server's end. It takes what services publish on
// status.<c>.<cat> (the account's mapping makes that submit.<c>.<cat>), checks
// it, fills in what is missing and hands it to the stream:
//
//	submit.c1.engine ─▶ Normalize, directory ─▶ ingest.c1.engine ─▶ stream STATUS
//	       ▲                    │ refused                                │ stored
//	   publisher ◀──────────────┴──────────── the publisher's reply ◀────┘
//
// It forwards with the publisher's own reply subject, so that JetStream
// acknowledges straight to the publisher; the broadcaster itself acknowledges
// nothing and keeps nothing but, for a moment, who waits for an acknowledgement: a
// stream that has failed sends none, and they are told. What it refuses it answers in JetStream's shape, so
// that the JetStream publish of every SDK returns an API error.
//
// Publisher is the other end, for services written in Go; any NATS client does
// as well.
package broadcaster
