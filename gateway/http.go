package gateway

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// API serves those who speak HTTP alone, as curl and EventSource do:
//
//	GET /v1/conversations/{conversation}/events    server-sent events (sse.go)
//	GET /v1/conversations/{conversation}/history   JSON lines (http_history.go)
//
// Each answer is a connection like a WebSocket: it passes the same admission, has
// the same grant and the same limits, and ends with them. A refusal before the
// answer has begun is an HTTP status with the error as JSON, a later one is the
// last that is sent.
func (g *Gateway) API() http.Handler {
	mux := http.NewServeMux()
	for path, parse := range map[string]parseQuery{
		"/v1/conversations/{conversation}/events":  parseEvents,
		"/v1/conversations/{conversation}/history": parseHistory,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { g.answer(w, r, parse) })
	}
	return mux
}

// parseQuery reads the query of a request and makes what answers it, or says what
// is wrong with it.
type parseQuery func(r *http.Request) (body, error)

// answer serves a request. It returns at once; the stream goes on by itself.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, parse parseQuery) {
	remote := g.clientAddress(r)
	page, ok := g.pageOf(r)
	if !ok {
		g.refuseOrigin(r, remote)
		refuseHTTP(w, http.StatusForbidden, 0, status.ErrOriginNotAllowed.Withf("%s", refusal.UpgradeOrigin().Text))
		return
	}
	page.allow(w.Header())
	switch {
	case r.Method == http.MethodOptions:
		preflight(w)
		return
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", allowedMethods)
		refuseHTTP(w, http.StatusMethodNotAllowed, 0, status.ErrBadRequest.Withf("method %s is not answered here: use GET", status.Quote(r.Method)))
		return
	case g.isStopping():
		g.deps.Metrics.Refused(metrics.RefusalStopping, false)
		refuseHTTP(w, refusal.UpgradeStopping().Code, refusal.UpgradeStopping().RetryAfter, status.ErrUnavailable.Withf("%s", refusal.UpgradeStopping().Text))
		return
	}
	place, v := g.admission.enter(time.Now(), remote, httpconn.From(r.Context()))
	if v.Refused() {
		why := refusal.UpgradeLimited(v)
		wire := status.ErrUnavailable
		if why.Code == http.StatusTooManyRequests {
			wire = status.ErrLimited
		}
		refuseHTTP(w, why.Code, why.RetryAfter, wire.Withf("%s", why.Text))
		return
	}
	s, refused := g.newStream(w, r, page, parse)
	if refused != nil {
		place.leave()
		refuseHTTP(w, refused.code, 0, refused.wire)
		return
	}
	place.stream = true
	s.remote, s.place = remote, place
	if !g.add(&s.socket) {
		place.leave()
		_ = s.conn.Close()
		return
	}
	// A goroutine of its own, as for a WebSocket.
	g.running.Go(s.serve)
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
func (g *Gateway) newStream(w http.ResponseWriter, r *http.Request, page page, parse parseQuery) (*stream, *refusedRequest) {
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
	conn = unwrapped(conn)
	_ = conn.SetDeadline(time.Time{})
	return newStream(g, conn, conversation, token, w.Header().Clone(), body), nil
}

// refuseHTTP answers with the error, and closes the connection: who is refused
// keeps nothing.
func refuseHTTP(w http.ResponseWriter, code, retryAfter int, e *status.Error) {
	h := w.Header()
	setRefusal(h, retryAfter, e)
	h.Set("Connection", "close")
	w.WriteHeader(code)
	_, _ = w.Write(refusalBody(e))
}

// setRefusal sets the header of an answer that is the error.
func setRefusal(h http.Header, retryAfter int, e *status.Error) {
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if e.Code == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="statuswire"`) // RFC 6750, section 3
	}
}

func refusalBody(e *status.Error) []byte { return append(e.Response(), '\n') }

// rawAnswer is the head of an HTTP/1.1 answer that ends with its connection, and
// its body or the beginning of it.
func rawAnswer(code int, h http.Header, body []byte) []byte {
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", code, http.StatusText(code))
	_ = h.Write(&b) // a buffer takes all
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
