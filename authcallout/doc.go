// Package authcallout decides what a browser's connection may do; the answer is a
// signed user JWT, the grant, or a denial. The gateway asks in the process (Decide), or
// nats-server does on $SYS.REQ.USER.AUTH (ADR-26) before it lets a connection in:
//
//	gateway ───── login, ask ────▶ queue ──▶ worker:
//	nats-server ── request JWT ──▶ queue ──▶ worker: which link?     internal/session
//	                                                 who is it?      Verifier
//	                                                 what is theirs? Directory
//	gateway     ◀── user JWT ──────────────── sign ◀─┘
//	nats-server ◀── response JWT ──┘           └──▶ verdict, for the link: internal/session
//
// A link to the server is registered under (server id, client id), which is how the
// callout finds out what the gateway wants, and where it leaves the verdict before the
// server has its answer: the server tells a client nothing but "Authorization
// Violation", the gateway can tell the reason.
//
// There is no queue group: each callout answers its own server only and is
// silent to the others, because only its own process holds the link. A request
// of its own server without a link comes from somewhere else than the gateway,
// the TCP port for instance, and is denied.
package authcallout
