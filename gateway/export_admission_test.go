package gateway

import (
	"net/http"
	"net/netip"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/status"
)

// Held is what sockets hold of the limits on connections.
type Held struct{ Addresses, Users, Handshakes int }

// Held counts it: addresses and users that have a socket, and handshakes.
func (g *Gateway) Held() Held {
	return Held{
		Addresses:  g.admission.addresses.Len(),
		Users:      g.admission.users.Len(),
		Handshakes: g.admission.handshakes.Usage(struct{}{}).Used,
	}
}

// OnHit has f hear of each limit on connections that is hit. Before any upgrade.
func (g *Gateway) OnHit(f func(limit.Verdict, netip.AddrPort, status.UserID)) {
	before := g.admission.onHit
	g.admission.onHit = func(v limit.Verdict, p *place, u status.UserID) {
		before(v, p, u)
		f(v, p.from, u)
	}
}

// ClientAddress is where a gateway that trusts the proxies takes the request from.
func ClientAddress(r *http.Request, trusted ...netip.Prefix) netip.AddrPort {
	g := &Gateway{opts: Options{TrustedProxies: trusted}.withDefaults()}
	return g.clientAddress(r)
}
