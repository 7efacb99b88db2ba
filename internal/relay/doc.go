// Package relay forwards browsers' requests on the gateway's own connection, and brings
// the answers back. The browser's reply subject never leaves its socket: outside, a
// request has a reply subject of the relay's own. An answer is one message, or parts and
// a last message; of those the edge sends as many as the browser has room for.
//
//	Forward ── edge.<c>.<verb>.<user> ─▶ edge
//	Receiver ◀── Part, …, Last ──────────┘   NoAnswer: none in time
//
// What a request is allowed, who asks must have seen to.
package relay
