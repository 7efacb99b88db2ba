package natsocket

import (
	"github.com/statuswire/statuswire/internal/browser"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/natsproto"
)

// receiver is a subscription, to which the fan-out delivers.
type receiver struct {
	variant uint8 // the socket's
	browser.Subscription
}

// Deliver implements fanout.Receiver.
func (r *receiver) Deliver(m *fanout.Message, _ *fanout.Subscription) {
	if !r.MayReceive(m.Subject) {
		r.KeepGap(m)
		return
	}
	if r.HasGap() {
		m = r.TellGap(m)
	}
	low := m.Low && len(browser.GapBefore(m)) == 0
	frame := m.Encoded(r.SID(), r.variant, encodeMessage)
	if r.Outbox().Deliver(r.Tally(), frame, low) {
		r.Drop()
	}
}

// Offer implements fanout.QueueReceiver.
func (r *receiver) Offer(m *fanout.Message, _ *fanout.Subscription) bool {
	if !r.MayReceive(m.Subject) {
		return false
	}
	taken, last := r.Outbox().Offer(r.Tally(), m.Encoded(r.SID(), r.variant, encodeMessage), m.Low)
	if last {
		r.Drop()
	}
	return taken
}

// DeliverRun implements fanout.RunReceiver: one write for all, unless each has to
// be looked at.
func (r *receiver) DeliverRun(run *fanout.Run, up *fanout.Subscription) {
	if !r.Filtered() && !r.HasGap() {
		frames := run.Encoded(r.SID(), r.variant, encodeMessage)
		if r.Outbox().DeliverRun(r.Tally(), len(run.Messages), frames) {
			return
		}
	}
	for _, m := range run.Messages {
		r.Deliver(m, up)
	}
}

// encodeMessage makes the frame that every socket with this sid and variant gets.
func encodeMessage(m *fanout.Message, sid string, variant uint8) []byte {
	out := natsproto.Msg{Subject: m.Subject, SID: sid, Payload: m.Data}
	if variant == variantHeaders {
		out.Header = appendHeaderBlock(nil, m.Header, known)
	}
	return messageFrame(out)
}
