// Package authcallout decides what a browser's connection may do. nats-server
// asks it on $SYS.REQ.USER.AUTH (ADR-26) before it lets a connection in; the
// answer is a signed user JWT, the grant, or a denial.
//
//	nats-server ── request JWT ──▶ queue ──▶ worker: which link?     internal/session
//	                                                 who is it?      Verifier
//	                                                 what is theirs? Directory
//	            ◀── response JWT ──────────── sign ◀─┘
//	                                           └──▶ verdict, for the gateway: internal/session
//
// The gateway opens a link to the server under (server id, client id), which is
// how the callout finds out what the gateway wants, and where it leaves the
// verdict before the server has its answer: the server tells a client nothing
// but "Authorization Violation", the gateway can tell the reason.
//
// There is no queue group: each callout answers its own server only and is
// silent to the others, because only its own process holds the link. A request
// of its own server without a link comes from somewhere else than the gateway,
// the TCP port for instance, and is denied.
package authcallout
