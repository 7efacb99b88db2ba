package browser

import (
	"context"
	"time"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Outcome is what a SUB or a PUB would come to, by the functions that decide it.
type Outcome struct {
	Refused refusal.Refusal
	Grant   *session.Grant // that decided
	Joined  bool           // the grant held did not do: it would grow
	Usage   []limit.Usage  // where the limits stand
}

// Sign is what the callout would grant the user now. A denial is a *session.Denial.
type Sign func(context.Context, status.UserID, session.Ask) (*session.Grant, error)

// Would decides as for a browser with the grant, without doing it. b is nil for a
// connection that is not there yet. The error is of sign.
func (h *Hub) Would(ctx context.Context, q session.Question, held *session.Grant, b *Browser, sign Sign) (o Outcome, failed error) {
	o.Grant = held
	var v limit.Verdict
	v, o.Usage = h.wouldCount(ctx, q, held, b)
	counted := func() refusal.Refusal {
		if q.Action == session.Publish || !v.Refused() {
			return refusal.Refusal{}
		}
		return refusal.By(v)
	}
	more := func(g *session.Grant) (*session.Grant, refusal.Refusal) {
		next, r, err := h.wouldJoin(ctx, q.Subject, g, b, v.Free, counted, sign)
		failed = err
		if next != g {
			o.Grant, o.Joined = next, true
		}
		return next, r
	}
	if q.Action == session.Publish {
		if o.Refused = access.Publish(held, q.Subject, more); !o.Refused.Is() && access.IsRequest(q.Subject) && b != nil {
			o.Refused = b.MayAsk()
		}
		return o, failed
	}
	if o.Refused = access.Subscribe(held, q.Subject, q.Queue, more); !o.Refused.Is() {
		o.Refused = counted()
	}
	return o, failed
}

// wouldJoin is what join comes to, without a verdict. restored says that it would bring
// back what was there before a reconnect.
func (h *Hub) wouldJoin(ctx context.Context, subject string, g *session.Grant, b *Browser, restored bool, before func() refusal.Refusal, sign Sign) (*session.Grant, refusal.Refusal, error) {
	c, ok := status.ConversationOf(subject)
	if !ok || g.Covers(c) {
		return g, refusal.Refusal{}, nil
	}
	var cred *access.Credential
	if b != nil {
		cred = b.credentialOf()
	}
	if r := h.deps.Access.MayJoin(ctx, c, g.User, cred, restored); r.Is() {
		return g, r, nil
	}
	if r := before(); r.Is() {
		return g, r, nil
	}
	want := []status.ConversationID{c}
	if cred != nil {
		var err error
		if want, err = cred.Wanted(c); err != nil {
			return g, access.Refusal(err), nil
		}
	}
	next, err := sign(ctx, g.User, session.Ask{Want: want})
	if err != nil {
		return g, refusal.Refusal{}, err
	}
	return next, refusal.Refusal{}, nil
}

// wouldCount says what the limits would say of the SUB, and where they stand.
func (h *Hub) wouldCount(ctx context.Context, q session.Question, grant *session.Grant, b *Browser) (limit.Verdict, []limit.Usage) {
	op, now := h.subOp(ctx, q.Subject), time.Now()
	meterRules, changeRule := h.rules(grant)
	var v, c limit.Verdict
	var usage limit.MeterUsage
	var changes limit.Usage
	counting := false
	if b != nil {
		b.mu.Lock()
		if counting = b.meter != nil; counting {
			v, usage = b.meter.Check(op), b.meter.Usage(now)
			c, changes = b.changes.Check(now, q.Subject), b.changes.Usage(now)
		}
		b.mu.Unlock()
	}
	if !counting {
		meter := limit.NewMeter(meterRules)
		v, usage = meter.Check(op), meter.Usage(now)
		c, changes = h.changes.Check(now, string(q.User), q.Subject, changeRule)
	}
	if !v.Refused() && countsAsChange(q.Subject) {
		v = c
	}
	return v, []limit.Usage{usage.Subscriptions, usage.Categories, changes, h.deps.Access.GrantChanges(now, q.User)}
}
