package browser

import (
	"cmp"
	"slices"
	"strings"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// Note counts a refusal and writes it to the audit.
func (b *Browser) Note(subject string, r refusal.Refusal) {
	b.hub.deps.Metrics.Refused(r.Why, false)
	e := b.event(audit.KindRefused)
	if r.Limit != "" {
		e.Kind, e.Limit = audit.KindLimited, string(r.Limit)
	}
	e.Subject, e.Reason = subject, r.Reason
	e.Conversation, _ = status.ConversationOf(subject)
	b.hub.deps.Audit.Record(e)
}

// Counted implements access.Browser.
func (b *Browser) Counted(v limit.Verdict) { b.Limited(v, "", "") }

// Limited notes a hit of a limit that names no subscription, or that only counts.
func (b *Browser) Limited(v limit.Verdict, subject, reason string) {
	for _, name := range []limit.Name{v.Name, v.Also} {
		if name == "" {
			continue
		}
		dry := v.Dry || name == v.Also
		b.hub.deps.Metrics.Refused(metrics.Refusal(name), dry)
		e := b.event(audit.KindLimited)
		e.Limit, e.Subject, e.Reason, e.DryRun = string(name), subject, reason, dry
		e.Conversation, _ = status.ConversationOf(subject)
		b.hub.deps.Audit.Record(e)
	}
}

// closed notes why a connection was closed, if that is a refusal.
func (b *Browser) closed(why refusal.Closing) {
	if why.Why != "" {
		b.hub.deps.Metrics.Refused(why.Why, false)
	}
	if why.Kind == "" {
		return
	}
	e := b.event(why.Kind)
	e.Reason, e.Code = b.dialect.Told(why)
	if e.User == "" {
		e.User = why.User
	}
	if why.Kind == audit.KindLimited {
		e.Limit = string(why.Why)
	}
	b.hub.deps.Audit.Record(e)
}

// revoked notes that subscriptions were ended because access was lost: an event for
// each conversation, with as many as there were.
func (b *Browser) revoked(lost []*Subscription) {
	lost = slices.SortedFunc(slices.Values(lost), func(a, b *Subscription) int {
		return cmp.Or(strings.Compare(string(a.conversation), string(b.conversation)), strings.Compare(a.subject, b.subject))
	})
	for len(lost) > 0 {
		conversation, e := lost[0].conversation, b.event(audit.KindRevoked)
		e.Conversation, e.Reason = conversation, refusal.ReasonLostAccess(conversation)
		for len(lost) > 0 && lost[0].conversation == conversation {
			e.Subject, e.Count = strings.TrimSpace(e.Subject+" "+lost[0].subject), e.Count+1
			lost = lost[1:]
		}
		b.hub.deps.Audit.Record(e)
	}
}

// event is an event of this browser.
func (b *Browser) event(kind audit.Kind) audit.Event {
	e := audit.Event{Kind: kind, Address: audit.AddressOf(b.remote), Session: b.id}
	b.mu.Lock()
	if b.grant != nil {
		e.User = b.grant.User
	}
	b.mu.Unlock()
	return e
}
