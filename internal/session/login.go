package session

import (
	"net/netip"

	"github.com/statuswire/statuswire/status"
)

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
	// Proof spares the callout to verify the token once more; nil for none.
	Proof Proof
}

// Proof is a token that the callout has verified a moment ago. Only the callout can
// make one that it believes, and it believes it with the same token only.
type Proof interface {
	// User is whom the token speaks for.
	User() status.UserID
}
