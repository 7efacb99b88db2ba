package gateway

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// retryAfter is what a refused upgrade is told to wait.
const retryAfter = 2 * time.Second

// ServeHTTP upgrades the request to a WebSocket and serves it. It returns at
// once; the socket goes on by itself.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.isStopping() {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		http.Error(w, "the server is stopping: try again", http.StatusServiceUnavailable)
		return
	}
	if !originAllowed(r, g.origins) {
		g.opts.Logger.Warn("upgrade refused: origin not allowed", "origin", r.Header.Get("Origin"), "remote", r.RemoteAddr)
		http.Error(w, "this origin is not allowed: add it to allowed_origins", http.StatusForbidden)
		return
	}
	token := g.cookieToken(r)
	remote, _ := netip.ParseAddrPort(r.RemoteAddr)

	conn, rw, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return // the upgrader has answered
	}
	_ = conn.SetDeadline(time.Time{})
	s := newSocket(g, conn, rw.Reader, remote, token)
	if !g.add(s) {
		_ = conn.Close()
		return
	}
	// A goroutine of its own, so that the HTTP server's, with its stack and
	// buffers, is gone while the socket lives.
	g.running.Go(s.serve)
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

// IsUpgrade is true for a request that wants a WebSocket (RFC 6455, section 4.1).
func IsUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && headerHasToken(r.Header, "Connection", "upgrade") &&
		headerHasToken(r.Header, "Upgrade", "websocket")
}
