package browser

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// rules are the limits that hold for a connection with the grant: what the
// grant says, else the settings. Whether a limit only counts is the settings'.
func (h *Hub) rules(grant *session.Grant) (meter limit.MeterRules, changes limit.Rule) {
	meter, changes = h.opts.Limits.MeterRules, h.opts.Limits.SubscriptionChanges
	meter.Subscriptions.Value = grant.MaxSubscriptions
	meter.Categories.Value = cmp.Or(grant.MaxCategories, meter.Categories.Value)
	changes.Value = cmp.Or(grant.MaxChanges, changes.Value)
	return meter, changes
}

// startMeters begins to count for the browser: its user is known.
func (b *Browser) startMeters() {
	b.mu.Lock()
	defer b.mu.Unlock()
	meter, changes := b.hub.rules(b.grant)
	b.meter = limit.NewMeter(meter)
	b.changes = b.hub.changes.Open(time.Now(), string(b.grant.User), changes)
}

// setRulesLocked has the limits of another grant hold; mu is held.
func (b *Browser) setRulesLocked(grant *session.Grant) {
	if b.meter == nil {
		return // the first grant: startMeters follows
	}
	meter, changes := b.hub.rules(grant)
	b.meter.SetRules(meter)
	b.changes.SetRule(changes)
}

// count asks the limits for more subscriptions, all or none of them, and counts
// them. What the verdict refuses is not counted. A limit in dry-run that was hit
// is reported here; a refusal is the caller's to report.
func (b *Browser) count(subs []*Subscription) limit.Verdict {
	var changes []string
	for i, sub := range subs {
		b.mu.Lock()
		v := b.meter.Sub(sub.op)
		b.mu.Unlock()
		if v.Hit() && v.Dry {
			b.Limited(v, sub.subject, "")
		}
		if v.Refused() {
			b.uncount(subs[:i]...)
			return v
		}
		if sub.changes() {
			changes = append(changes, sub.subject)
		}
	}
	if len(changes) == 0 {
		return limit.Verdict{}
	}
	now := time.Now()
	v := b.changes.Sub(now, changes...)
	if v.Hit() && v.Dry {
		b.Limited(v, changes[0], "")
	}
	if v.Refused() {
		b.uncount(subs...)
		return v
	}
	for range changes {
		b.figures.Changed(now)
	}
	return limit.Verdict{}
}

// uncount gives back what count took for subscriptions that did not come about.
func (b *Browser) uncount(subs ...*Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, sub := range subs {
		b.meter.Unsub(sub.op)
	}
}

// countsAsChange is true when the beginning and the end of a subscription count as
// changes: of statuses, and of presence. Both cost a subscription at the server, and
// perhaps a login decision; an inbox costs nobody anything, and many clients make one
// for each request.
func countsAsChange(subject string) bool {
	_, ok := status.ConversationOf(subject)
	return ok && !access.IsRequest(subject)
}

func (sub *Subscription) changes() bool {
	return sub.conversation != "" && !access.IsRequest(sub.subject)
}

// countUnsub counts an UNSUB of the browser's as a change.
func (b *Browser) countUnsub(sub *Subscription) {
	if !sub.changes() {
		return
	}
	now := time.Now()
	b.changes.Unsub(now)
	b.figures.Changed(now)
}

// closeMeters ends the counting and remembers which subscriptions the user may
// restore for free after a reconnect.
func (b *Browser) closeMeters(subs map[string]*Subscription) {
	if b.changes == nil {
		return // never logged in
	}
	var held []string
	for _, sub := range subs {
		if sub.changes() {
			held = append(held, sub.subject)
		}
	}
	b.changes.Close(time.Now(), held)
}

// Resize implements access.Browser: the meter counts what a wildcard covers.
func (b *Browser) Resize(c status.ConversationID, covered []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.meter != nil {
		b.meter.Resize(string(c), covered)
	}
}

// recount has the meter see the categories of now, if some may have come or gone
// since there were so many changes: it was not told of them while the subscription
// was not counted, or the grant did not cover the conversation.
func (b *Browser) recount(subs []*Subscription, changes uint64) {
	for changes != b.hub.deps.Access.Changes() {
		changes = b.hub.deps.Access.Changes()
		for _, sub := range subs {
			if sub.op.Category == limit.Wildcard {
				b.Resize(sub.conversation, b.hub.deps.Access.Categories(b.ctx, sub.conversation))
			}
		}
	}
}

// subOp is the subscription as the meter sees it. A wildcard counts all the
// categories that the conversation has.
func (h *Hub) subOp(ctx context.Context, subject string) limit.SubOp {
	tokens := strings.SplitN(subject, ".", 3)
	if tokens[0] != "status" || len(tokens) < 3 {
		return limit.SubOp{}
	}
	op := limit.SubOp{Conversation: tokens[1], Category: tokens[2]}
	if tokens[2] == "*" || tokens[2] == ">" {
		op.Category = limit.Wildcard
		op.Covered = h.deps.Access.Categories(ctx, status.ConversationID(tokens[1]))
	}
	return op
}

// AddUsed implements access.Browser.
func (b *Browser) AddUsed(used map[status.ConversationID]struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, sub := range b.subs {
		if sub.conversation != "" {
			used[sub.conversation] = struct{}{}
		}
	}
	for c := range b.asking {
		used[c] = struct{}{}
	}
}

// usedLocked notes that the conversation was used until now; mu is held.
func (b *Browser) usedLocked(c status.ConversationID) {
	if b.credential != nil && c != "" {
		b.credential.Touch(c)
	}
}

// MeterUsage is where the limits of the connection stand. It has logged in.
func (b *Browser) MeterUsage(now time.Time) limit.MeterUsage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.meter.Usage(now)
}

// UserUsage is where the limits of its user stand. It has logged in.
func (b *Browser) UserUsage(now time.Time) []limit.Usage {
	return []limit.Usage{b.changes.Usage(now), b.hub.deps.Access.GrantChanges(now, b.Grant().User)}
}

// Operation counts one operation of the browser's.
func (b *Browser) Operation() limit.Verdict {
	b.mu.Lock()
	v := b.meter.Operation(time.Now())
	b.mu.Unlock()
	if v.Hit() && v.Dry {
		b.Limited(v, "", "")
	}
	return v
}
