package app

import (
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/httpconn"
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
	return lateListener{&proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: a.headTimeout(),
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if gateway.Trusts(a.opts.Gateway.TrustedProxies, upstream(o)) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}, a.gateway.Connections()}, nil
}

func upstream(o proxyproto.ConnPolicyOptions) netip.Addr {
	if tcp, ok := o.Upstream.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.Addr{}
}

// lateListener has connections count for the address in their PROXY header, once
// that is read.
type lateListener struct {
	net.Listener
	connections *httpconn.Counter
}

func (l lateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if _, wrapped := conn.(*proxyproto.Conn); wrapped {
		conn = l.connections.Late(conn)
	}
	return conn, err
}
