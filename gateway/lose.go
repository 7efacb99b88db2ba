package gateway

import (
	"context"
	"sync"

	"github.com/statuswire/statuswire/internal/refusal"
)

// takeGrant takes the credential's grant of now: it is in force at once for all that
// the browser does from here on. Subscriptions that it does not cover any more end
// once they have what was stored until now. It is false when there is no grant.
func (s *socket) takeGrant() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credential == nil {
		return false
	}
	// Read with mu held: so a newer grant is never replaced by an older one.
	g := s.credential.current()
	if g == nil {
		return false
	}
	before := s.grant
	s.grant = g
	s.setRulesLocked(g)
	var lost []*localSub
	for _, sub := range s.subs {
		if sub.lostWith.Load() == nil && !g.CanSubscribe(sub.subject, sub.queue) {
			sub.lostWith.Store(before)
			lost = append(lost, sub)
			s.markLocked(sub.subject)
		}
	}
	if g.Filters() {
		s.filter.Store(g)
	} else {
		s.filter.Store(nil)
	}
	if len(lost) > 0 {
		// Still counted itself: leave, which comes before the end of the socket's
		// goroutine, takes the credential away.
		s.gateway.running.Go(func() { s.lose(lost) }) // ends after Options.SettleTimeout, or with the socket
	}
	return true
}

// lose ends subscriptions whose access was lost, once they have been given what the
// stream had acknowledged before, bounded by Options.SettleTimeout: nats-server 2.15.2
// queues a status for the fan-out before it queues the acknowledgement, on one queue,
// which one goroutine empties (server/stream.go:7486, 7517 and 8618).
func (s *socket) lose(lost []*localSub) {
	ctx, cancel := context.WithTimeout(s.ctx, s.gateway.opts.SettleTimeout)
	defer cancel()
	var settling sync.WaitGroup
	s.revoked(lost)
	for _, sub := range lost {
		settling.Go(func() {
			if sub.upstream != nil {
				if err := s.gateway.deps.Fanout.Settle(ctx, sub.upstream); err != nil && s.ctx.Err() == nil {
					s.gateway.opts.Logger.Warn("access has ended and not all that was stored before is delivered", "subject", sub.subject, "error", err)
				}
			}
			s.endLost(sub)
		})
	}
	settling.Wait()
}

// endLost ends a subscription that may have ended meanwhile: the browser has left,
// or unsubscribed.
func (s *socket) endLost(sub *localSub) {
	s.mu.Lock()
	held := s.subs[sub.sid] == sub
	s.forgetLocked(sub)
	s.mu.Unlock()
	if !held {
		return
	}
	s.endSub(sub)
	s.dialect.subEnded(sub, refusal.LostAccess(sub.conversation))
}
