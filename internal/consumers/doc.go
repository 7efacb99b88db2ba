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
// JetStream itself would make any: one with a deliver_subject sends the stream's
// messages there with nobody's permissions, so that a record of the audit could be
// made a conversation, a mark or an order to delete a stream; and a durable one
// stays for ever. That stands in the payload, which nats.conf cannot look into.
//
// Pulling, CONSUMER.INFO and CONSUMER.DELETE go straight to JetStream.
package consumers
