package gateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxForwarded is how many entries of X-Forwarded-For are looked at, from the right.
const maxForwarded = 32

// clientAddress is where the request comes from: the address that the socket,
// the callout, the server's reports, the audit and the limits see. It is the
// peer of the connection, unless that is one of Options.TrustedProxies: then it
// is the right-most address of X-Forwarded-For that is none of them. What stands
// left of that anybody may have written. An entry that is no address ends the
// search at what the last proxy before it was.
func (g *Gateway) clientAddress(r *http.Request) netip.AddrPort {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	client := peer
	hops := forwardedFor(r.Header)
	if len(hops) > 0 && !g.trusts(peer.Addr()) {
		g.warnForwarded(peer.Addr())
	}
	for i := len(hops) - 1; i >= max(0, len(hops)-maxForwarded) && g.trusts(client.Addr()); i-- {
		hop, ok := parseForwarded(hops[i])
		if !ok {
			break
		}
		client = hop
	}
	return client
}

// warnForwarded tells an operator, once, whose proxy is not trusted: all its
// browsers then count as one address.
func (g *Gateway) warnForwarded(peer netip.Addr) {
	g.forwardedOnce.Do(func() {
		g.opts.Logger.Warn("X-Forwarded-For is not believed: its sender is not among trusted_proxies, and all behind it count as one address", "sender", peer)
	})
}

func (g *Gateway) trusts(a netip.Addr) bool { return Trusts(g.opts.TrustedProxies, a) }

// Trusts is true when the address is in one of the prefixes. IPv4 in IPv6 is
// IPv4, zones are left out.
func Trusts(proxies []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// forwardedFor is the header's entries, left to right, without white space. Several
// headers are one list (RFC 9110, section 5.3), in which empty elements mean nothing
// (section 5.6.1): some proxies write "203.0.113.7,".
func forwardedFor(h http.Header) (entries []string) {
	for _, value := range h.Values("X-Forwarded-For") {
		for entry := range strings.SplitSeq(value, ",") {
			if entry = strings.Trim(entry, " \t"); entry != "" {
				entries = append(entries, entry)
			}
		}
	}
	return entries
}

// parseForwarded reads an entry: an address, with a port or without, IPv6 in
// brackets or without. The port is 0 when it is not told.
func parseForwarded(s string) (netip.AddrPort, bool) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		inner, opened := strings.CutPrefix(s, "[")
		inner, closed := strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		if err != nil || opened != closed || opened && a.Is4() {
			return netip.AddrPort{}, false
		}
		ap = netip.AddrPortFrom(a, 0)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), true
}
