package gateway

import (
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// relay brings the answers to forwarded requests back to the sockets. The
// browser's reply subject never leaves its socket: outside, a request has a
// reply subject of the relay's own.
type relay struct {
	nc      *nats.Conn
	timeout time.Duration
	prefix  string // its own inbox, with the last dot

	mu      sync.Mutex // guards what follows
	sub     *nats.Subscription
	waiting map[string]*waiting // by the last token of the reply subject
}

// waiting is a request without an answer yet.
type waiting struct {
	socket *webSocket
	reply  string // the browser's reply subject
	timer  *time.Timer
}

func newRelay(nc *nats.Conn, timeout time.Duration) *relay {
	return &relay{nc: nc, timeout: timeout, prefix: nc.NewInbox() + ".", waiting: map[string]*waiting{}}
}

func (r *relay) start() error {
	sub, err := r.nc.Subscribe(r.prefix+"*", r.answer)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.sub = sub
	r.mu.Unlock()
	return r.nc.Flush()
}

func (r *relay) stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for token, w := range r.waiting {
		w.timer.Stop()
		delete(r.waiting, token)
	}
	if r.sub == nil || r.nc.IsClosed() {
		return nil
	}
	err := r.sub.Unsubscribe()
	r.sub = nil
	return err
}

// forward sends a request on behalf of the socket.
func (r *relay) forward(s *webSocket, subject, reply string, header nats.Header, body []byte) error {
	m := &nats.Msg{Subject: subject, Header: header, Data: body}
	if reply != "" {
		token := nats.NewInbox()[len(nats.InboxPrefix):]
		m.Reply = r.prefix + token
		w := &waiting{socket: s, reply: reply}
		r.mu.Lock()
		r.waiting[token] = w
		w.timer = time.AfterFunc(r.timeout, func() { r.take(token) })
		r.mu.Unlock()
		s.countRequest(1)
	}
	return r.nc.PublishMsg(m)
}

// take removes the request and returns it; nil when it is gone already.
func (r *relay) take(token string) *waiting {
	r.mu.Lock()
	w := r.waiting[token]
	delete(r.waiting, token)
	r.mu.Unlock()
	if w != nil {
		w.timer.Stop()
		w.socket.countRequest(-1)
	}
	return w
}

// answer hands an answer to the socket that asked.
func (r *relay) answer(m *nats.Msg) {
	w := r.take(strings.TrimPrefix(m.Subject, r.prefix))
	if w == nil {
		return
	}
	if m.Header.Get(headerStatus) == "503" && !w.socket.wantsNoResponders() {
		return
	}
	w.socket.inbox(w.reply, m.Header, m.Data)
}

// forget drops the requests of a socket that is gone.
func (r *relay) forget(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for token, w := range r.waiting {
		if &w.socket.socket == s {
			w.timer.Stop()
			delete(r.waiting, token)
		}
	}
}

// doPub handles PUB and HPUB. A browser publishes nothing but requests.
func (s *webSocket) doPub(op *natsproto.Operation) error {
	subject, reply := string(op.Subject), string(op.Reply)
	if s.connect.Pedantic && !natsproto.IsLiteral(subject) {
		s.sendErr("Invalid Publish Subject")
	}
	g, _ := s.held()
	r := decidePub(g, subject, func(g *session.Grant) (*session.Grant, refusal) {
		return s.join(subject, g, func() refusal { return refusal{} })
	})
	if r.is() {
		s.refusePub(subject, r)
		return nil
	}
	g, _ = s.held()
	if g.MaxPayloadBytes >= 0 && len(op.Payload) > g.MaxPayloadBytes {
		return end(closeTooLarge(natsproto.ErrPayloadTooLarge, g.MaxPayloadBytes))
	}
	body := append([]byte(nil), op.Payload[op.HeaderBytes:]...)
	s.ok()
	switch subject {
	case status.GatewayToken:
		s.renewToken(reply, string(body))
	case status.GatewaySubscriptions:
		s.listSubscriptions(reply)
	default:
		s.ask(subject, reply, body)
	}
	return nil
}

// ask forwards a request to the edge with the user's name. The browser's
// headers stay behind: the edge has no use for them.
func (s *webSocket) ask(subject, reply string, body []byte) {
	s.mu.Lock()
	full := s.requests >= s.gateway.opts.MaxRequests
	user := s.grant.User
	s.mu.Unlock()
	if full {
		s.refusePub(subject, refusal{why: metrics.RefusalRequests, limit: "requests", reason: reasonTooManyRequests(s.gateway.opts.MaxRequests)})
		return
	}
	if err := s.gateway.relay.forward(s, status.AskedBy(subject, user), reply, nil, body); err != nil {
		s.gateway.opts.Logger.Error("cannot forward a request", "subject", subject, "error", err)
		s.refusePub(subject, refusal{why: metrics.RefusalUnavailable, reason: reasonUnavailable})
	}
}

// inbox delivers an answer to those of the socket's own inbox subscriptions
// that match. It goes nowhere else.
func (s *webSocket) inbox(subject string, header nats.Header, body []byte) {
	var block []byte
	if s.variant == variantHeaders && len(header) > 0 {
		block = appendHeaderBlock(nil, header)
	}
	var match []*localSub
	s.mu.Lock()
	for _, sub := range s.subs {
		if sub.upstream == nil && natsproto.Matches(sub.subject, subject) {
			match = append(match, sub)
		}
	}
	s.mu.Unlock()
	for _, sub := range match {
		frame := messageFrame(natsproto.Msg{Subject: subject, SID: sub.sid, Header: block, Payload: body})
		if s.out.deliver(sub, frame, false) {
			s.drop(sub)
		}
	}
}

func (s *socket) countRequest(n int) {
	s.mu.Lock()
	s.requests += n
	s.mu.Unlock()
}

func (s *webSocket) wantsNoResponders() bool {
	o := s.loginOptions()
	return o.NoResponders && o.Headers
}
