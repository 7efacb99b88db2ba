package gateway

import (
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// doPub handles PUB and HPUB. A browser publishes nothing but requests.
func (s *webSocket) doPub(op *natsproto.Operation) error {
	subject, reply := string(op.Subject), string(op.Reply)
	if s.connect.Pedantic && !natsproto.IsLiteral(subject) {
		s.sendErr("Invalid Publish Subject")
	}
	g, _ := s.held()
	r := decidePub(g, subject, func(g *session.Grant) (*session.Grant, refusal.Refusal) {
		return s.join(subject, g, func() refusal.Refusal { return refusal.Refusal{} })
	})
	if r.Is() {
		s.refusePub(subject, r)
		return nil
	}
	g, _ = s.held()
	if most := g.MaxPayloadBytes; most >= 0 && len(op.Payload) > most && subject != status.GatewayToken {
		return refusal.End(refusal.CloseTooLarge(natsproto.ErrPayloadTooLarge, most))
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
		s.refusePub(subject, refusal.Refusal{Why: metrics.RefusalRequests, Limit: "requests", Reason: refusal.ReasonTooManyRequests(s.gateway.opts.MaxRequests)})
		return
	}
	var to relay.Receiver
	if reply != "" {
		to = &inboxAnswer{socket: s, asked: subject, reply: reply}
	}
	if err := s.gateway.relay.Forward(&s.socket, status.AskedBy(subject, user), body, to); err != nil {
		s.gateway.opts.Logger.Error("cannot forward a request", "subject", subject, "error", err)
		s.refusePub(subject, refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUnavailable})
	}
}

// inboxAnswer brings an answer to the browser's own inbox: of statuses those that the
// browser might subscribe to. A login decision of somebody's own may grant single
// categories, of which the edge knows nothing.
type inboxAnswer struct {
	socket *webSocket
	asked  string // edge.<c>.<verb>
	reply  string // the browser's reply subject
	count  int    // parts that were let through
	cut    bool   // others were not
}

func (a *inboxAnswer) Part(header nats.Header, body []byte) {
	if g, _ := a.socket.held(); g == nil || !g.CanSubscribe(header.Get(status.HeaderSubject), "") {
		a.cut = true
		return
	}
	a.count++
	a.socket.inbox(a.reply, header, body)
}

func (a *inboxAnswer) Last(header nats.Header, body []byte) {
	if a.cut && header.Get(status.HeaderCount) != "" {
		header.Set(status.HeaderCount, strconv.Itoa(a.count))
	}
	switch c, _ := status.ConversationOf(a.asked); {
	case relay.IsNobody(header):
		if !a.socket.wantsNoResponders() {
			return
		}
	case a.asked == status.EdgeSubject(c, status.EdgeJoin):
		g, _ := a.socket.held()
		header, body = welcomed(g, c, header, body)
	}
	a.socket.inbox(a.reply, header, body)
}

// NoAnswer leaves it to the browser's own patience.
func (*inboxAnswer) NoAnswer() {}

// inbox delivers an answer to those of the socket's own inbox subscriptions
// that match. It goes nowhere else.
func (s *webSocket) inbox(subject string, header nats.Header, body []byte) {
	var block []byte
	if s.variant == variantHeaders && len(header) > 0 {
		block = appendHeaderBlock(nil, header, nil)
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
		if s.out.Deliver(&sub.tally, frame, false) {
			s.drop(sub)
		}
	}
}

// Asking implements relay.Asker.
func (s *socket) Asking(c status.ConversationID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests += n
	if c == "" {
		return
	}
	if s.asking == nil {
		s.asking = map[status.ConversationID]int{}
	}
	if s.asking[c] += n; s.asking[c] <= 0 {
		delete(s.asking, c)
	}
	s.touchLocked(c)
}

func (s *webSocket) wantsNoResponders() bool {
	o := s.loginOptions()
	return o.NoResponders && o.Headers
}
