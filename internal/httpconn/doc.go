// Package httpconn counts HTTP connections from their beginning to their end,
// whatever they are doing, all together and by address:
//
//	        ┌──────────── idle ◀─┐
//	new ──▶ active ──────────────┘
//	 │        │ └─ taken over: a socket or a stream of the gateway, until Ended
//	 └────────┴──────────────────▶ closed
//
// An idle one may be closed at any time (RFC 9112, section 9.5), so it gives way
// where there is no room for a new one: the address's own first, and of all the
// one that has been idle for longest. A few more than are allowed are taken, to be
// answered, and closed then. One more is closed without a word.
//
// What a reverse proxy opens counts for no address, only together with all: the
// gateway counts its sockets by the address that the proxy tells.
package httpconn
