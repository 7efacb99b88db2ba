package gateway

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/outbox"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// localSub is one subscription of a browser.
type localSub struct {
	// What a delivery reads stands together, as in Outbox.
	socket  *socket
	sid     string
	tally   outbox.Tally
	variant uint8 // the socket's

	gap atomic.Pointer[[]string] // of statuses, not told to the browser yet

	op           limit.SubOp // as the meter sees it
	subject      string
	queue        string
	conversation status.ConversationID // "" for an inbox
	upstream     *fanout.Subscription  // nil for an inbox

	// lostWith is the last grant that covered it, from when access was lost until it
	// ends; else nil.
	lostWith atomic.Pointer[session.Grant]

	// Of a resumable socket; guarded by socket.mu.
	place  fanout.Place // how far it has arrived
	placed bool         // that is known
	over   bool         // the fan-out has ended it
}

func newLocalSub(s *socket, subject, queue, sid string) *localSub {
	sub := &localSub{socket: s, sid: sid, variant: s.variant, subject: subject, queue: queue}
	sub.conversation, _ = status.ConversationOf(subject)
	return sub
}

// sysQueue is the queue group that nats-server keeps for itself.
const sysQueue = "_sys_"

// doSub handles SUB. A refusal names the subscription and leaves the rest alone.
func (s *webSocket) doSub(subject, queue, sid string) {
	if s.has(sid) {
		s.ok() // as nats-server: the first one stays
		return
	}
	sub := newLocalSub(&s.socket, subject, queue, sid)
	if r := s.admit(sub); r.Is() {
		s.refuseSub(subject, queue, r)
		return
	}
	if sub.conversation != "" {
		if err := s.listen(sub); err != nil {
			s.uncount([]*localSub{sub})
			s.refuseSub(subject, queue, s.gateway.upstreamFailed(subject, err))
			return
		}
		s.flushDue = true
	}
	if !s.keep(sub) {
		s.endSub(sub)
		s.uncount([]*localSub{sub})
		if !s.isOver(sub) { // else the browser was told
			s.refuseSub(subject, queue, refusal.LostAccess(sub.conversation))
		}
		return
	}
	s.ok()
}

// upstreamFailed is the refusal of what the fan-out could not subscribe to. That there is
// no room it has told already.
func (g *Gateway) upstreamFailed(subject string, err error) refusal.Refusal {
	if errors.Is(err, fanout.ErrFull) {
		return refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUpstreamFull}
	}
	g.opts.Logger.Error("cannot subscribe upstream", "subject", subject, "error", err)
	return refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUpstreamFails}
}

// admit decides on SUBs, all or none of them, of one conversation, and counts
// them. They are counted before the grant grows: what a limit refuses costs no
// callout.
func (s *socket) admit(subs ...*localSub) refusal.Refusal {
	counted := false
	changes := s.gateway.reviews.changes.Load()
	count := func() refusal.Refusal {
		for _, sub := range subs {
			sub.op = s.gateway.subOp(s.ctx, sub.subject)
		}
		if v := s.count(subs); v.Refused() {
			return refusal.By(v)
		}
		counted = true
		return refusal.Refusal{}
	}
	r := refusal.Refusal{}
	for i := 0; i < len(subs) && !r.Is(); i++ {
		sub := subs[i]
		g, _ := s.held()
		r = decideSub(g, sub.subject, sub.queue, func(g *session.Grant) (*session.Grant, refusal.Refusal) {
			return s.join(sub.subject, g, count)
		})
	}
	if !r.Is() && !counted {
		r = count()
	}
	if r.Is() && counted {
		s.uncount(subs)
	}
	if !r.Is() {
		s.recount(subs, changes)
	}
	return r
}

// join tries to have the grant cover the conversation that the subject reaches
// into: SUB is the join. before is asked when the user may and a callout is
// about to be made. It returns the grant of then, and why it does not cover the
// conversation if it does not.
func (s *socket) join(subject string, g *session.Grant, before func() refusal.Refusal) (*session.Grant, refusal.Refusal) {
	c, ok := status.ConversationOf(subject)
	if !ok || g.Covers(c) {
		return g, refusal.Refusal{}
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.gateway.opts.LoginTimeout)
	defer cancel()
	cred := s.currentCredential()
	if r := s.gateway.decideJoin(ctx, c, g.User, cred); r.Is() {
		return g, r
	}
	restored := s.restores(subject)
	if v := s.gateway.mayChangeGrant(g.User); v.Refused() && !restored {
		return g, refusal.By(v)
	}
	if r := before(); r.Is() {
		return g, r
	}
	if err := cred.ensure(ctx, s, s.loginOptions(), need{conversations: []status.ConversationID{c}, paid: !restored}); err != nil {
		return g, s.joinFailed(err)
	}
	s.takeGrant() // the grant may have grown for another socket before
	g, _ = s.held()
	if !g.Covers(c) {
		return g, refusal.Refusal{Why: metrics.RefusalConversation, Reason: status.NotTheirs(string(c))}
	}
	return g, refusal.Refusal{}
}

// restores is true when a SUB of the subject brings back what the user had before a
// reconnect.
func (s *socket) restores(subject string) bool {
	return s.changes.Check(time.Now(), subject).Free
}

func (s *socket) joinFailed(err error) refusal.Refusal {
	var denial *session.Denial
	if errors.As(err, &denial) && denial.Final {
		return refusal.Refusal{Why: metrics.RefusalToken, Reason: denial.Reason}
	}
	if r := grantRefusal(err); r.Is() {
		return r
	}
	s.gateway.opts.Logger.Warn("no verdict for a join", "remote", s.remote, "error", err)
	return refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUnavailable}
}

// keep enters the subscription. It is false when access was lost meanwhile, or
// the fan-out has ended it already.
func (s *socket) keep(sub *localSub) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.grant.CanSubscribe(sub.subject, sub.queue) {
		s.markLocked(sub.subject)
		return false
	}
	if sub.over {
		s.leaveMarkLocked(sub)
		return false
	}
	s.subs[sub.sid] = sub
	s.usedLocked(sub)
	s.markLocked(sub.subject)
	s.presentLocked(sub.conversation, 1)
	return true
}

// isOver is true when the fan-out has ended the subscription.
func (s *socket) isOver(sub *localSub) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sub.over
}

// doUnsub handles UNSUB, which always passes.
func (s *webSocket) doUnsub(sid string, most int) {
	s.mu.Lock()
	sub := s.subs[sid]
	s.mu.Unlock()
	if sub != nil {
		s.countUnsub(sub)
		if most == 0 || s.out.Limit(&sub.tally, most) {
			s.drop(sub)
		}
	}
	s.ok()
}

// drop ends a subscription of the socket.
func (s *socket) drop(sub *localSub) {
	s.mu.Lock()
	s.forgetLocked(sub)
	s.mu.Unlock()
	s.endSub(sub)
}

// forgetLocked takes the subscription out and gives back what it counted; mu is
// held. A second time changes nothing.
func (s *socket) forgetLocked(sub *localSub) {
	if s.subs[sub.sid] != sub {
		return
	}
	delete(s.subs, sub.sid)
	s.usedLocked(sub)
	s.markLocked(sub.subject)
	s.meter.Unsub(sub.op)
	s.presentLocked(sub.conversation, -1)
}

// endSub stops the messages of a subscription that is entered no more.
func (s *socket) endSub(sub *localSub) {
	s.out.End(&sub.tally)
	if sub.upstream != nil {
		s.gateway.deps.Fanout.Unsubscribe(sub.upstream)
	}
}

// Deliver implements fanout.Receiver.
func (sub *localSub) Deliver(m *fanout.Message, _ *fanout.Subscription) {
	if !sub.mayReceive(m.Subject) {
		sub.keepGap(m)
		return
	}
	if sub.gap.Load() != nil {
		m = sub.tellGap(m)
	}
	low := m.Low && len(gapBefore(m)) == 0
	frame := m.Encoded(sub.sid, sub.variant, encodeMessage)
	if sub.socket.out.Deliver(&sub.tally, frame, low) {
		sub.socket.drop(sub)
	}
}

// Offer implements fanout.QueueReceiver.
func (sub *localSub) Offer(m *fanout.Message, _ *fanout.Subscription) bool {
	if !sub.mayReceive(m.Subject) {
		return false
	}
	taken, last := sub.socket.out.Offer(&sub.tally, m.Encoded(sub.sid, sub.variant, encodeMessage), m.Low)
	if last {
		sub.socket.drop(sub)
	}
	return taken
}

// mayReceive is false for a message that the grant denies, although it allows the
// subscription.
func (sub *localSub) mayReceive(subject string) bool {
	g := sub.socket.filter.Load()
	return g == nil || cmp.Or(sub.lostWith.Load(), g).CanReceive(subject, sub.queue)
}

// DeliverRun implements fanout.RunReceiver: one write for all, unless each has to
// be looked at.
func (sub *localSub) DeliverRun(r *fanout.Run, up *fanout.Subscription) {
	if sub.socket.filter.Load() == nil && sub.gap.Load() == nil {
		frames := r.Encoded(sub.sid, sub.variant, encodeMessage)
		if sub.socket.out.DeliverRun(&sub.tally, len(r.Messages), frames) {
			return
		}
	}
	for _, m := range r.Messages {
		sub.Deliver(m, up)
	}
}

// pieceBytes is what the fan-out sends between two calls of Ready: 16 KiB and
// headers, seldom one large status.
const pieceBytes = 32 << 10

// HasRoom implements fanout.Pacer.
func (sub *localSub) HasRoom() bool { return sub.socket.out.HasRoom() }

// Ready implements fanout.Pacer.
func (sub *localSub) Ready(ctx context.Context) error {
	return sub.socket.out.ReadyOrGone(ctx, sub, pieceBytes)
}

// Ended implements fanout.Receiver. The browser may subscribe again and go on.
func (sub *localSub) Ended(_ *fanout.Subscription, reason string) {
	s := sub.socket
	s.mu.Lock()
	sub.over = true
	if s.subs[sub.sid] == sub {
		s.forgetLocked(sub)
		s.leaveMarkLocked(sub)
	}
	s.mu.Unlock()
	s.out.End(&sub.tally)
	s.dialect.subEnded(sub, refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: reason})
}

// encodeMessage makes the frame that every socket with this sid and variant gets.
func encodeMessage(m *fanout.Message, sid string, variant uint8) []byte {
	out := natsproto.Msg{Subject: m.Subject, SID: sid, Payload: m.Data}
	if variant == variantHeaders {
		out.Header = appendHeaderBlock(nil, m.Header, known)
	}
	return messageFrame(out)
}

func (s *webSocket) has(sid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.subs[sid]
	return ok
}

func (s *socket) held() (g *session.Grant, subs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grant, len(s.subs)
}

func (s *socket) currentCredential() *credential {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credential
}

func (s *socket) loginOptions() connectOptions {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connect
}

func isInbox(subject string) bool { return strings.HasPrefix(subject, "_INBOX.") }
