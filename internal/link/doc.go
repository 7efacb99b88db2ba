// Package link asks nats-server for the verdict on a browser's login: a link is an
// in-process connection with the browser's address and CONNECT, by which the server
// asks the auth callout (ADR-26).
//
//	Decide ── dial ──▶ INFO: client id ──▶ session.Registry: what is asked for
//	       ── CONNECT, PING ──▶ nats-server ── request ──▶ callout
//	       ◀── PONG or -ERR ───────────────────────────────┘ verdict in the registry
//
// The server tells a client nothing but "Authorization Violation"; the callout leaves
// the signed user JWT, or the reason of a denial, in the registry before it answers.
package link
