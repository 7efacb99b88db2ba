package browser

import (
	"context"
	"sync"

	"github.com/statuswire/statuswire/internal/refusal"
)

// TakeGrant implements access.Browser: it takes the credential's grant of now: it is in force at once for all that
// the browser does from here on. Subscriptions that it does not cover any more end
// once they have what was stored until now. It is false when there is no grant.
func (b *Browser) TakeGrant() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.credential == nil {
		return false
	}
	// Read with mu held: so a newer grant is never replaced by an older one.
	g := b.credential.Grant()
	if g == nil {
		return false
	}
	before := b.grant
	b.grant = g
	b.setRulesLocked(g)
	var lost []*Subscription
	for _, sub := range b.subs {
		if sub.lostWith.Load() == nil && !g.CanSubscribe(sub.subject, sub.queue) {
			sub.lostWith.Store(before)
			lost = append(lost, sub)
			b.markLocked(sub.subject)
		}
	}
	if g.Filters() {
		b.filter.Store(g)
	} else {
		b.filter.Store(nil)
	}
	if len(lost) > 0 {
		// Still counted itself: leave, which comes before the end of the browser's
		// goroutine, takes the credential away.
		b.hub.running.Go(func() { b.lose(lost) }) // ends after Options.SettleTimeout, or with the browser
	}
	return true
}

// lose ends subscriptions whose access was lost, once they have been given what the
// stream had acknowledged before, bounded by Options.SettleTimeout: nats-server 2.15.2
// queues a status for the fan-out before it queues the acknowledgement, on one queue,
// which one goroutine empties (server/stream.go:7486, 7517 and 8618).
func (b *Browser) lose(lost []*Subscription) {
	ctx, cancel := context.WithTimeout(b.ctx, b.hub.opts.SettleTimeout)
	defer cancel()
	var settling sync.WaitGroup
	b.revoked(lost)
	for _, sub := range lost {
		settling.Go(func() {
			if sub.upstream != nil {
				if err := b.hub.deps.Fanout.Settle(ctx, sub.upstream); err != nil && b.ctx.Err() == nil {
					b.hub.opts.Logger.Warn("access has ended and not all that was stored before is delivered", "subject", sub.subject, "error", err)
				}
			}
			b.endLost(sub)
		})
	}
	settling.Wait()
}

// endLost ends a subscription that may have ended meanwhile: the browser has left,
// or unsubscribed.
func (b *Browser) endLost(sub *Subscription) {
	b.mu.Lock()
	held := b.subs[sub.sid] == sub
	b.forgetLocked(sub)
	b.mu.Unlock()
	if !held {
		return
	}
	b.endSub(sub)
	b.dialect.SubEnded(sub, refusal.LostAccess(sub.conversation))
}
