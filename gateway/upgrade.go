package gateway

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsocket"
	"github.com/statuswire/statuswire/internal/refusal"
)

// ServeHTTP upgrades the request to a WebSocket and serves it. It returns at
// once; the socket goes on by itself. All refusals come before the connection is
// taken from the HTTP server, which answers and closes it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.browsers.IsStopping() {
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
	key, wrong := natsocket.Check(r)
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
	conn, in, wrong := natsocket.TakeOver(w, key)
	if wrong != nil {
		place.Leave()
		refuseUpgrade(w, wrong)
		return
	}
	s := g.sockets.Socket(conn, in, remote, place, token)
	if !g.browsers.Serve(&s.Browser) {
		place.Leave()
		_ = conn.Close()
	}
}

// IsUpgrade is true for a request that wants a WebSocket, as far as it says so in
// Upgrade. What else it lacks it is told by ServeHTTP.
func IsUpgrade(r *http.Request) bool { return natsocket.IsUpgrade(r) }

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
		Kind: audit.KindDenied, Address: audit.AddressOf(remote), Origin: origin, Reason: refusal.UpgradeOrigin().Text, Code: refusal.UpgradeOrigin().Code,
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
		h.Set("Sec-WebSocket-Version", natsocket.Version)
	}
	http.Error(w, why.Text, why.Code)
}
