package browser

import (
	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// MayPublish decides on a PUB, which may be a request to the edge: that has the grant
// grow as a SUB does.
func (b *Browser) MayPublish(subject string) refusal.Refusal {
	return access.Publish(b.Grant(), subject, func(g *session.Grant) (*session.Grant, refusal.Refusal) {
		return b.join(subject, g, func() refusal.Refusal { return refusal.Refusal{} })
	})
}

// MayAsk is a refusal when too many requests wait for an answer.
func (b *Browser) MayAsk() refusal.Refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests < b.hub.opts.MaxRequests {
		return refusal.Refusal{}
	}
	return refusal.Refusal{Why: metrics.RefusalRequests, Limit: "requests", Reason: refusal.ReasonTooManyRequests(b.hub.opts.MaxRequests)}
}

// Forward sends a request, edge.<c>.<verb>, that was let pass to the edge, with the
// user's name. The answer is for to, or for nobody if that is nil.
func (b *Browser) Forward(subject string, body []byte, to relay.Receiver) error {
	err := b.hub.deps.Relay.Forward(b, status.AskedBy(subject, b.Grant().User), body, to)
	if err != nil {
		b.hub.opts.Logger.Error("cannot forward a request", "subject", subject, "error", err)
	}
	return err
}

// Asking implements relay.Asker.
func (b *Browser) Asking(c status.ConversationID, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests += n
	if c == "" {
		return
	}
	if b.asking == nil {
		b.asking = map[status.ConversationID]int{}
	}
	if b.asking[c] += n; b.asking[c] <= 0 {
		delete(b.asking, c)
	}
	b.usedLocked(c)
}
