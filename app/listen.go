package app

import (
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/pires/go-proxyproto"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/limit"
)

// listen opens the HTTP listener. With Options.ProxyProtocol every connection from
// a trusted proxy has to begin with a PROXY header, version 1 or 2, which says
// where it comes from (haproxy's proxy-protocol.txt); "MUST not try to guess
// whether it is present", says its section 5. From anybody else such a header is
// no HTTP, and answered with 400.
func (a *App) listen() (net.Listener, error) {
	l, err := net.Listen("tcp", a.opts.HTTP)
	if err != nil || !a.opts.ProxyProtocol {
		return l, err
	}
	return &proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: a.headTimeout(),
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if gateway.Trusts(a.opts.Gateway.TrustedProxies, addrPort(o.Upstream).Addr()) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}, nil
}

// callers bounds the HTTP connections that an address may have beside its
// sockets: those that wait for a request's head or for its answer. It is a
// limit of its own, as large as the one on the address's sockets; a connection
// above it is closed without a word. What comes from a trusted proxy counts for
// the address that the PROXY header told; without one it does not count, since
// nobody knows the address before the request's head is read.
type callers struct {
	counters *limit.Counters[netip.Prefix]
	trusted  []netip.Prefix
	onHit    func(limit.Verdict, netip.AddrPort)

	mu   sync.Mutex // guards held
	held map[net.Conn]netip.Prefix
}

func newCallers(opts gateway.Options, onHit func(limit.Verdict, netip.AddrPort)) *callers {
	return &callers{
		counters: limit.NewCounters[netip.Prefix](limit.ConnectionsPerAddress, opts.Limits.WithDefaults().ConnectionsPerAddress),
		trusted:  opts.TrustedProxies,
		onHit:    onHit,
		held:     map[net.Conn]netip.Prefix{},
	}
}

// state is http.Server.ConnState.
func (c *callers) state(conn net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		// A PROXY header is not read yet, and asking for the address would hold
		// up the listener until it is.
		if _, wrapped := conn.(*proxyproto.Conn); !wrapped {
			c.take(conn, addrPort(conn.RemoteAddr()))
		}
	case http.StateActive:
		c.take(conn, addrPort(conn.RemoteAddr()))
	default: // idle, or a socket, or gone
		c.release(conn)
	}
}

// take counts the connection, once, or closes it.
func (c *callers) take(conn net.Conn, from netip.AddrPort) {
	if gateway.Trusts(c.trusted, from.Addr()) {
		return
	}
	v := c.count(conn, limit.Network(from.Addr()))
	if v.Hit() {
		c.onHit(v, from)
	}
	if v.Refused() {
		_ = conn.Close()
	}
}

func (c *callers) count(conn net.Conn, network netip.Prefix) limit.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, counted := c.held[conn]; counted {
		return limit.Verdict{}
	}
	v := c.counters.Take(network)
	if !v.Refused() {
		c.held[conn] = network
	}
	return v
}

func (c *callers) release(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if network, counted := c.held[conn]; counted {
		delete(c.held, conn)
		c.counters.Release(network)
	}
}

// addrPort is the address of a TCP connection's end; the zero value for another.
func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}
