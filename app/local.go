package app

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// localOnly has next answer only requests that name this machine in Host. What is
// handed out because only this machine can ask is otherwise handed to any page that
// a browser here shows, once the name of that page's server points to this machine
// (DNS rebinding): the browser takes the answer for that server's.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !namesThisMachine(r.Host) {
			answer(w, http.StatusForbidden, "this is for this machine alone: ask for it by localhost or 127.0.0.1")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// namesThisMachine is true for a Host, with a port or without, that is a loopback
// address or one of the names that are always this machine (RFC 6761, section 6.3).
func namesThisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// IsLoopback is true when only this machine can reach the address; "" is the
// default one, DefaultHTTP.
func IsLoopback(addr string) bool {
	if addr == "" {
		addr = DefaultHTTP
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
