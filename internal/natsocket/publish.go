package natsocket

import (
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/status"
)

// doPub handles PUB and HPUB. A browser publishes nothing but requests.
func (s *Socket) doPub(op *natsproto.Operation) error {
	subject, reply := string(op.Subject), string(op.Reply)
	if s.pedantic && !natsproto.IsLiteral(subject) {
		s.sendErr("Invalid Publish Subject")
	}
	if r := s.MayPublish(subject); r.Is() {
		s.refusePub(subject, r)
		return nil
	}
	if most := s.Grant().MaxPayloadBytes; most >= 0 && len(op.Payload) > most && subject != status.GatewayToken {
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

// ask forwards a request to the edge. The browser's headers stay behind: the edge has no
// use for them.
func (s *Socket) ask(subject, reply string, body []byte) {
	if r := s.MayAsk(); r.Is() {
		s.refusePub(subject, r)
		return
	}
	var to relay.Receiver
	if reply != "" {
		to = &inboxAnswer{socket: s, asked: subject, reply: reply}
	}
	if err := s.Forward(subject, body, to); err != nil {
		s.refusePub(subject, refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUnavailable})
	}
}

// inboxAnswer brings an answer to the browser's own inbox: of statuses those that the
// browser might subscribe to. A login decision of somebody's own may grant single
// categories, of which the edge knows nothing.
type inboxAnswer struct {
	socket *Socket
	asked  string // edge.<c>.<verb>
	reply  string // the browser's reply subject
	count  int    // parts that were let through
	cut    bool   // others were not
}

func (a *inboxAnswer) Part(header nats.Header, body []byte) {
	if g := a.socket.Grant(); g == nil || !g.CanSubscribe(header.Get(status.HeaderSubject), "") {
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
		if !a.socket.noResponders {
			return
		}
	case a.asked == status.EdgeSubject(c, status.EdgeJoin):
		g := a.socket.Grant()
		header, body = welcomed(g, c, header, body)
	}
	a.socket.inbox(a.reply, header, body)
}

// NoAnswer leaves it to the browser's own patience.
func (*inboxAnswer) NoAnswer() {}

// inbox delivers an answer to those of the socket's own inbox subscriptions
// that match. It goes nowhere else.
func (s *Socket) inbox(subject string, header nats.Header, body []byte) {
	var block []byte
	if s.variant == variantHeaders && len(header) > 0 {
		block = appendHeaderBlock(nil, header, nil)
	}
	for _, sub := range s.Inboxes(subject) {
		frame := messageFrame(natsproto.Msg{Subject: subject, SID: sub.SID(), Header: block, Payload: body})
		if s.Outbox().Deliver(sub.Tally(), frame, false) {
			sub.Drop()
		}
	}
}
