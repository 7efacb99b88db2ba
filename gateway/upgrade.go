package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
)

// ServeHTTP upgrades the request to a WebSocket and serves it. It returns at
// once; the socket goes on by itself. All refusals come before the connection is
// taken from the HTTP server, which answers and closes it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.isStopping() {
		g.deps.Metrics.Refused(metrics.RefusalStopping, false)
		refuseUpgrade(w, refusal.UpgradeStopping())
		return
	}
	remote := g.clientAddress(r)
	page, ok := g.pageOf(r)
	if !ok {
		g.refuseOrigin(r, remote)
		refuseUpgrade(w, refusal.UpgradeOrigin())
		return
	}
	key, wrong := checkHandshake(r)
	if wrong != nil {
		g.deps.Metrics.Refused(metrics.RefusalProtocol, false)
		refuseUpgrade(w, wrong)
		return
	}
	place, v := g.admission.enter(time.Now(), remote, httpconn.From(r.Context()))
	if v.Refused() {
		refuseUpgrade(w, refusal.UpgradeLimited(v))
		return
	}
	token := ""
	if page.cookies {
		token = g.cookieToken(r)
	}
	conn, in, wrong := takeOver(w, key)
	if wrong != nil {
		place.leave()
		refuseUpgrade(w, wrong)
		return
	}
	s := newWebSocket(g, conn, in, remote, token)
	s.place = place
	if !g.add(&s.socket) {
		place.leave()
		_ = conn.Close()
		return
	}
	// A goroutine of its own, so that the HTTP server's, with its stack and
	// buffers, is gone while the socket lives.
	g.running.Go(s.serve)
}

// refuseOrigin notes that a page of another origin was refused.
func (g *Gateway) refuseOrigin(r *http.Request, remote netip.AddrPort) {
	origin := r.Header.Get("Origin")
	attrs := []any{"origin", origin, "remote", remote}
	if hint := g.originHint(r); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	g.opts.Logger.Warn("request refused: origin not allowed", attrs...)
	g.deps.Metrics.Refused(metrics.RefusalOrigin, false)
	g.deps.Audit.Record(audit.Event{
		Kind: audit.KindDenied, Address: addressText(remote), Origin: origin, Reason: refusal.UpgradeOrigin().Text, Code: refusal.UpgradeOrigin().Code,
	})
}

// refuseUpgrade answers, and closes the connection: who is refused keeps nothing.
func refuseUpgrade(w http.ResponseWriter, why *refusal.Upgrade) {
	if why.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(why.RetryAfter))
	}
	h := w.Header()
	h.Set("Connection", "close")
	switch why.Code {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodGet)
	case http.StatusUpgradeRequired: // RFC 9110, section 15.5.22; RFC 6455, section 4.4
		h.Add("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", webSocketVersion)
	}
	http.Error(w, why.Text, why.Code)
}

// unwrapped is the TCP connection in a listener's wrapper, one that has read a
// PROXY header: frames are written straight to a TCP connection. Reading goes on
// through the wrapper, which may have read on.
func unwrapped(conn net.Conn) net.Conn {
	if w, ok := conn.(interface{ TCPConn() (*net.TCPConn, bool) }); ok {
		if tcp, ok := w.TCPConn(); ok {
			return tcp
		}
	}
	return conn
}

// cookieToken reads the token from the cookie, if one is configured.
func (g *Gateway) cookieToken(r *http.Request) string {
	if g.opts.TokenCookie == "" {
		return ""
	}
	c, err := r.Cookie(g.opts.TokenCookie)
	if err != nil {
		return ""
	}
	return c.Value
}
