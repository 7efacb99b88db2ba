// Package consumers makes the consumers with which operators read a stream, in
// place of JetStream.
//
//	nats sub --stream ─▶ $JS.API.CONSUMER.CREATE.AUDIT.… (account OPS)
//	                          │ import of nats.conf
//	                          ▼
//	                     consumer.create.AUDIT.…          Service: only what pulls,
//	                          │                           and is forgotten soon
//	                          ▼
//	                     $JS.API.CONSUMER.CREATE.AUDIT.…  JetStream, whose answer is
//	                                                      handed on as it is
//
// JetStream itself takes any: one whose deliver_subject belongs to another stream as
// well (marks.x, audit.admin.x, $KV.directory.x: seen on nats-server 2.15.2), and what
// it sends there has nobody's permissions to pass. That a record came to stand in
// another stream that way was not seen; it is not left to chance. A durable one stays
// for ever. All of that stands in the payload, which nats.conf cannot look into.
//
// Pulling, CONSUMER.INFO and CONSUMER.DELETE go straight to JetStream.
package consumers
