package browser

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Subscribe has the receiver get what the subscription is for, from now on. Kept is
// false when it does not: for the reason that is refused, or because the fan-out has
// ended it already, which the dialect was told.
func (b *Browser) Subscribe(sub *Subscription, to fanout.Receiver) (r refusal.Refusal, kept bool) {
	if r := b.Admit(sub); r.Is() {
		return r, false
	}
	if sub.conversation != "" {
		if err := b.listen(sub, to); err != nil {
			b.uncount(sub)
			return b.UpstreamFailed(sub.subject, err), false
		}
	}
	if b.Keep(sub) {
		return refusal.Refusal{}, true
	}
	b.endSub(sub)
	b.uncount(sub)
	if b.isOver(sub) {
		return refusal.Refusal{}, false
	}
	return refusal.LostAccess(sub.conversation), false
}

// UpstreamFailed is the refusal of what the fan-out could not subscribe to. That there is
// no room it has told already.
func (b *Browser) UpstreamFailed(subject string, err error) refusal.Refusal {
	if errors.Is(err, fanout.ErrFull) {
		return refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUpstreamFull}
	}
	b.hub.opts.Logger.Error("cannot subscribe upstream", "subject", subject, "error", err)
	return refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUpstreamFails}
}

// Admit decides on SUBs, all or none of them, of one conversation, and counts
// them. They are counted before the grant grows: what a limit refuses costs no
// callout.
func (b *Browser) Admit(subs ...*Subscription) refusal.Refusal {
	counted := false
	changes := b.hub.deps.Access.Changes()
	count := func() refusal.Refusal {
		for _, sub := range subs {
			sub.op = b.hub.subOp(b.ctx, sub.subject)
		}
		if v := b.count(subs); v.Refused() {
			return refusal.By(v)
		}
		counted = true
		return refusal.Refusal{}
	}
	r := refusal.Refusal{}
	for i := 0; i < len(subs) && !r.Is(); i++ {
		sub := subs[i]
		g := b.Grant()
		r = access.Subscribe(g, sub.subject, sub.queue, func(g *session.Grant) (*session.Grant, refusal.Refusal) {
			return b.join(sub.subject, g, count)
		})
	}
	if !r.Is() && !counted {
		r = count()
	}
	if r.Is() && counted {
		b.uncount(subs...)
	}
	if !r.Is() {
		b.recount(subs, changes)
	}
	return r
}

// join tries to have the grant cover the conversation that the subject reaches
// into: SUB is the join. before is asked when the user may and a callout is
// about to be made. It returns the grant of then, and why it does not cover the
// conversation if it does not.
func (b *Browser) join(subject string, g *session.Grant, before func() refusal.Refusal) (*session.Grant, refusal.Refusal) {
	c, ok := status.ConversationOf(subject)
	if !ok || g.Covers(c) {
		return g, refusal.Refusal{}
	}
	ctx, cancel := b.hub.deps.Access.Patience(b.ctx)
	defer cancel()
	cred, restored := b.credentialOf(), b.restores(subject)
	if r := b.hub.deps.Access.MayJoin(ctx, c, g.User, cred, restored); r.Is() {
		return g, r
	}
	if r := before(); r.Is() {
		return g, r
	}
	if err := cred.Join(ctx, b, c, restored); err != nil {
		return g, b.joinFailed(err)
	}
	b.TakeGrant() // the grant may have grown for another browser before
	g = b.Grant()
	if !g.Covers(c) {
		return g, refusal.Refusal{Why: metrics.RefusalConversation, Reason: status.NotTheirs(string(c))}
	}
	return g, refusal.Refusal{}
}

// restores is true when a SUB of the subject brings back what the user had before a
// reconnect.
func (b *Browser) restores(subject string) bool {
	return b.changes.Check(time.Now(), subject).Free
}

func (b *Browser) joinFailed(err error) refusal.Refusal {
	var denial *session.Denial
	if errors.As(err, &denial) && denial.Final {
		return refusal.Refusal{Why: metrics.RefusalToken, Reason: denial.Reason}
	}
	if r := access.Refusal(err); r.Is() {
		return r
	}
	b.hub.opts.Logger.Warn("no verdict for a join", "remote", b.remote, "error", err)
	return refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUnavailable}
}

// Keep enters the subscription. It is false when access was lost meanwhile, or
// the fan-out has ended it already.
func (b *Browser) Keep(sub *Subscription) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.grant.CanSubscribe(sub.subject, sub.queue) {
		b.markLocked(sub.subject)
		return false
	}
	if sub.over {
		b.leaveMarkLocked(sub)
		return false
	}
	b.subs[sub.sid] = sub
	b.usedLocked(sub.conversation)
	b.markLocked(sub.subject)
	b.presentLocked(sub.conversation, 1)
	return true
}

// isOver is true when the fan-out has ended the subscription.
func (b *Browser) isOver(sub *Subscription) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return sub.over
}

// drop ends a subscription.
func (b *Browser) drop(sub *Subscription) {
	b.mu.Lock()
	b.forgetLocked(sub)
	b.mu.Unlock()
	b.endSub(sub)
}

// forgetLocked takes the subscription out and gives back what it counted; mu is
// held. A second time changes nothing.
func (b *Browser) forgetLocked(sub *Subscription) {
	if b.subs[sub.sid] != sub {
		return
	}
	delete(b.subs, sub.sid)
	b.usedLocked(sub.conversation)
	b.markLocked(sub.subject)
	b.meter.Unsub(sub.op)
	b.presentLocked(sub.conversation, -1)
}

// endSub stops the messages of a subscription that is entered no more.
func (b *Browser) endSub(sub *Subscription) {
	b.out.End(&sub.tally)
	if sub.upstream != nil {
		b.hub.deps.Fanout.Unsubscribe(sub.upstream)
	}
}

// Unsubscribe ends the subscription when it has had most messages in all, 0 for now. It
// always passes, and counts as a change.
func (b *Browser) Unsubscribe(sub *Subscription, most int) {
	b.countUnsub(sub)
	if most == 0 || b.out.Limit(&sub.tally, most) {
		b.drop(sub)
	}
}

// Sub is the subscription of that name; nil when there is none.
func (b *Browser) Sub(sid string) *Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subs[sid]
}

// Subs returns the subscriptions of now.
func (b *Browser) Subs() []*Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.subs))
}

// Inboxes are the subscriptions that get an answer on the subject.
func (b *Browser) Inboxes(subject string) (match []*Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, sub := range b.subs {
		if sub.upstream == nil && natsproto.Matches(sub.subject, subject) {
			match = append(match, sub)
		}
	}
	return match
}

// Flush returns when the server has the interest of what was listened to before.
func (b *Browser) Flush() error {
	ctx, cancel := context.WithTimeout(b.ctx, b.hub.opts.FlushTimeout)
	defer cancel()
	return b.hub.deps.Fanout.Flush(ctx)
}

// Categories are those of the conversation.
func (b *Browser) Categories(c status.ConversationID) []string {
	return b.hub.deps.Access.Categories(b.ctx, c)
}
