package gateway

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// rules are the limits that hold for a connection with the grant: what the
// grant says, else the settings. Whether a limit only counts is the settings'.
func (g *Gateway) rules(grant *session.Grant) (meter limit.MeterRules, changes limit.Rule) {
	meter, changes = g.opts.Limits.MeterRules, g.opts.Limits.SubscriptionChanges
	meter.Subscriptions.Value = grant.MaxSubscriptions
	meter.Categories.Value = cmp.Or(grant.MaxCategories, meter.Categories.Value)
	changes.Value = cmp.Or(grant.MaxChanges, changes.Value)
	return meter, changes
}

// startMeters begins to count for the socket: its user is known.
func (s *socket) startMeters() {
	s.mu.Lock()
	defer s.mu.Unlock()
	meter, changes := s.gateway.rules(s.grant)
	s.meter = limit.NewMeter(meter)
	s.changes = s.gateway.changes.Open(time.Now(), string(s.grant.User), changes)
}

// setRulesLocked has the limits of another grant hold; mu is held.
func (s *socket) setRulesLocked(grant *session.Grant) {
	if s.meter == nil {
		return // the first grant: startMeters follows
	}
	meter, changes := s.gateway.rules(grant)
	s.meter.SetRules(meter)
	s.changes.SetRule(changes)
}

// count asks the limits for more subscriptions, all or none of them, and counts
// them. What the verdict refuses is not counted. A limit in dry-run that was hit
// is reported here; a refusal is the caller's to report.
func (s *socket) count(subs []*localSub) limit.Verdict {
	var changes []string
	for i, sub := range subs {
		s.mu.Lock()
		v := s.meter.Sub(sub.op)
		s.mu.Unlock()
		if v.Hit() && v.Dry {
			s.gateway.limited(s, v, sub.subject, "")
		}
		if v.Refused() {
			s.uncount(subs[:i])
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
	v := s.changes.Sub(now, changes...)
	if v.Hit() && v.Dry {
		s.gateway.limited(s, v, changes[0], "")
	}
	if v.Refused() {
		s.uncount(subs)
		return v
	}
	for range changes {
		s.figures.Changed(now)
	}
	return limit.Verdict{}
}

// uncount gives back what count took for subscriptions that did not come about.
func (s *socket) uncount(subs []*localSub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range subs {
		s.meter.Unsub(sub.op)
	}
}

// countsAsChange is true when the beginning and the end of a subscription count as
// changes: of statuses, and of presence. Both cost a subscription at the server, and
// perhaps a login decision; an inbox costs nobody anything, and many clients make one
// for each request.
func countsAsChange(subject string) bool {
	_, ok := status.ConversationOf(subject)
	return ok && !isEdge(subject)
}

func (sub *localSub) changes() bool { return sub.conversation != "" && !isEdge(sub.subject) }

// countUnsub counts an UNSUB of the browser's as a change.
func (s *socket) countUnsub(sub *localSub) {
	if !sub.changes() {
		return
	}
	now := time.Now()
	s.changes.Unsub(now)
	s.figures.Changed(now)
}

// closeMeters ends the counting and remembers which subscriptions the user may
// restore for free after a reconnect.
func (s *socket) closeMeters(subs map[string]*localSub) {
	if s.changes == nil {
		return // never logged in
	}
	var held []string
	for _, sub := range subs {
		if sub.changes() {
			held = append(held, sub.subject)
		}
	}
	s.changes.Close(time.Now(), held)
}

// resize tells the meter which categories a conversation has now.
func (s *socket) resize(c status.ConversationID, covered []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meter != nil {
		s.meter.Resize(string(c), covered)
	}
}

// recount has the meter see the categories of now, if some may have come or gone
// since there were so many changes: it was not told of them while the subscription
// was not counted, or the grant did not cover the conversation.
func (s *socket) recount(subs []*localSub, changes uint64) {
	for changes != s.gateway.reviews.changes.Load() {
		changes = s.gateway.reviews.changes.Load()
		for _, sub := range subs {
			if sub.op.Category == limit.Wildcard {
				s.resize(sub.conversation, s.gateway.categories(s.ctx, sub.conversation))
			}
		}
	}
}

// subOp is the subscription as the meter sees it. A wildcard counts all the
// categories that the conversation has.
func (g *Gateway) subOp(ctx context.Context, subject string) limit.SubOp {
	tokens := strings.SplitN(subject, ".", 3)
	if tokens[0] != "status" || len(tokens) < 3 {
		return limit.SubOp{}
	}
	op := limit.SubOp{Conversation: tokens[1], Category: tokens[2]}
	if tokens[2] == "*" || tokens[2] == ">" {
		op.Category = limit.Wildcard
		op.Covered = g.categories(ctx, status.ConversationID(tokens[1]))
	}
	return op
}

// categories are those of the conversation; for one that the directory cannot
// tell of, as with grants of another callout, the default ones.
func (g *Gateway) categories(ctx context.Context, c status.ConversationID) []string {
	all, err := g.deps.Directory.Categories(ctx, c)
	if err != nil {
		all = status.DefaultCategories()
	}
	names := make([]string, len(all))
	for i, category := range all {
		names[i] = string(category)
	}
	return names
}

// presentLocked notes n more subscriptions of the socket in a conversation, and
// tells presence of the first and the last one; mu is held, so that it hears
// them in order.
func (s *socket) presentLocked(c status.ConversationID, n int) {
	if c == "" {
		return
	}
	before := s.present[c]
	after := before + n
	if after > 0 {
		s.present[c] = after
	} else {
		delete(s.present, c)
	}
	switch p := s.gateway.deps.Presence; {
	case p == nil:
	case before == 0 && after > 0:
		p.Join(c, s.grant.User, s.id)
	case before > 0 && after <= 0:
		p.Leave(c, s.grant.User, s.id)
	}
}
