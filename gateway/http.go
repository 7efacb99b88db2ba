package gateway

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/sse"
	"github.com/statuswire/statuswire/status"
)

// API serves those who speak HTTP alone, as curl and EventSource do:
//
//	GET /v1/conversations/{conversation}/events    server-sent events
//	GET /v1/conversations/{conversation}/history   JSON lines
//
// Each answer is a connection like a WebSocket: it passes the same admission, has
// the same grant and the same limits, and ends with them. A refusal before the
// answer has begun is an HTTP status with the error as JSON, a later one is the
// last that is sent.
func (g *Gateway) API() http.Handler {
	mux := http.NewServeMux()
	for path, parse := range map[string]parseQuery{
		"/v1/conversations/{conversation}/events":  sse.Events,
		"/v1/conversations/{conversation}/history": sse.History,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { g.answer(w, r, parse) })
	}
	return mux
}

// parseQuery reads the query of a request and makes what answers it, or says what
// is wrong with it.
type parseQuery func(r *http.Request) (sse.Body, error)

// answer serves a request. It returns at once; the stream goes on by itself.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, parse parseQuery) {
	remote := g.clientAddress(r)
	page, ok := g.pageOf(r)
	if !ok {
		g.refuseOrigin(r, remote)
		sse.Refuse(w, http.StatusForbidden, 0, status.ErrOriginNotAllowed.Withf("%s", refusal.UpgradeOrigin().Text))
		return
	}
	page.allow(w.Header())
	switch {
	case r.Method == http.MethodOptions:
		preflight(w)
		return
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", allowedMethods)
		sse.Refuse(w, http.StatusMethodNotAllowed, 0, status.ErrBadRequest.Withf("method %s is not answered here: use GET", status.Quote(r.Method)))
		return
	case g.browsers.IsStopping():
		g.deps.Metrics.Refused(metrics.RefusalStopping, false)
		sse.Refuse(w, refusal.UpgradeStopping().Code, refusal.UpgradeStopping().RetryAfter, status.ErrUnavailable.Withf("%s", refusal.UpgradeStopping().Text))
		return
	}
	place, v := g.admission.enter(time.Now(), remote, httpconn.From(r.Context()))
	if v.Refused() {
		why := refusal.UpgradeLimited(v)
		wire := status.ErrUnavailable
		if why.Code == http.StatusTooManyRequests {
			wire = status.ErrLimited
		}
		sse.Refuse(w, why.Code, why.RetryAfter, wire.Withf("%s", why.Text))
		return
	}
	place.stream = true
	s, refused := g.newStream(w, r, remote, place, page, parse)
	if refused != nil {
		place.Leave()
		sse.Refuse(w, refused.code, 0, refused.wire)
		return
	}
	if !g.browsers.Serve(&s.Browser) {
		place.Leave()
		_ = s.Conn().Close()
	}
}

// refusedRequest is why a request gets no stream. The HTTP status may say more
// than the class of the error.
type refusedRequest struct {
	code int
	wire *status.Error
}

func badRequest(err error) *refusedRequest {
	return &refusedRequest{http.StatusBadRequest, status.ErrBadRequest.Withf("%v", err)}
}

// newStream reads the request and takes its connection over.
func (g *Gateway) newStream(w http.ResponseWriter, r *http.Request, remote netip.AddrPort, place *place, page page, parse parseQuery) (*sse.Stream, *refusedRequest) {
	conversation, err := status.ParseConversationID(r.PathValue("conversation"))
	if err != nil {
		return nil, badRequest(err)
	}
	body, err := parse(r)
	if err != nil {
		return nil, badRequest(err)
	}
	token, err := g.requestToken(r, page)
	if err != nil {
		return nil, badRequest(err)
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return nil, &refusedRequest{http.StatusHTTPVersionNotSupported,
			status.ErrBadRequest.Withf("%s is not served here: have the proxy in front ask by HTTP/1.1", r.Proto)}
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return nil, &refusedRequest{http.StatusServiceUnavailable, status.ErrUnavailable.Withf("%s", refusal.ReasonUnavailable)}
	}
	conn = httpconn.Unwrapped(conn)
	_ = conn.SetDeadline(time.Time{})
	return g.streams.Stream(conn, remote, place, conversation, token, w.Header().Clone(), body), nil
}
