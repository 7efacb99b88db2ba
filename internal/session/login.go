package session

import "net/netip"

// Login is a browser that wants a grant: what its CONNECT said, and from where.
type Login struct {
	// Token is the application's own token for the user.
	Token string
	// User is CONNECT's `user`: the conversation to join at once; "" for none.
	User string
	// Name, Lang and Version are what CONNECT said of the client.
	Name, Lang, Version string
	// Remote is the browser's address; the zero AddrPort if it is not known.
	Remote netip.AddrPort
}
