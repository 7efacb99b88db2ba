package gateway

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// grantRefusal is the refusal that an error of ensure is, none for other errors.
func grantRefusal(err error) refusal.Refusal {
	var limited *grantLimited
	switch {
	case errors.As(err, &limited):
		return refusal.By(limited.Verdict)
	case errors.Is(err, errGrantFull):
		return refusal.GrantFull(maxConversations)
	}
	return refusal.Refusal{}
}

// refuseSub tells the browser that the SUB is refused, and notes it.
func (s *webSocket) refuseSub(subject, queue string, r refusal.Refusal) {
	s.sendErr(refusal.SubText(subject, queue, r.Reason))
	s.note(subject, r)
}

// refusePub tells the browser that the PUB is refused, and notes it.
func (s *webSocket) refusePub(subject string, r refusal.Refusal) {
	s.sendErr(refusal.PubText(subject, r.Reason))
	s.note(subject, r)
}

// note counts a refusal and writes it to the audit.
func (s *socket) note(subject string, r refusal.Refusal) {
	s.gateway.deps.Metrics.Refused(r.Why, false)
	e := s.event(audit.KindRefused)
	if r.Limit != "" {
		e.Kind, e.Limit = audit.KindLimited, string(r.Limit)
	}
	e.Subject, e.Reason = subject, r.Reason
	e.Conversation, _ = status.ConversationOf(subject)
	s.gateway.deps.Audit.Record(e)
}

// limited notes a hit of a limit that names no subscription, or that only
// counts. s is nil before there is a socket.
func (g *Gateway) limited(s *socket, v limit.Verdict, subject, reason string) {
	for _, name := range []limit.Name{v.Name, v.Also} {
		if name == "" {
			continue
		}
		dry := v.Dry || name == v.Also
		g.deps.Metrics.Refused(metrics.Refusal(name), dry)
		e := audit.Event{}
		if s != nil {
			e = s.event("")
		}
		e.Kind, e.Limit, e.Subject, e.Reason, e.DryRun = audit.KindLimited, string(name), subject, reason, dry
		e.Conversation, _ = status.ConversationOf(subject)
		g.deps.Audit.Record(e)
	}
}

// closed notes why a socket was closed, if that is a refusal.
func (s *socket) closed(why refusal.Closing) {
	if why.Why != "" {
		s.gateway.deps.Metrics.Refused(why.Why, false)
	}
	if why.Kind == "" {
		return
	}
	e := s.event(why.Kind)
	e.Reason, e.Code = s.dialect.told(why)
	if e.User == "" {
		e.User = why.User
	}
	if why.Kind == audit.KindLimited {
		e.Limit = string(why.Why)
	}
	s.gateway.deps.Audit.Record(e)
}

// revoked notes that subscriptions were ended because access was lost: an event for
// each conversation, with as many as there were.
func (s *socket) revoked(lost []*localSub) {
	lost = slices.SortedFunc(slices.Values(lost), func(a, b *localSub) int {
		return cmp.Or(strings.Compare(string(a.conversation), string(b.conversation)), strings.Compare(a.subject, b.subject))
	})
	for len(lost) > 0 {
		conversation, e := lost[0].conversation, s.event(audit.KindRevoked)
		e.Conversation, e.Reason = conversation, refusal.ReasonLostAccess(conversation)
		for len(lost) > 0 && lost[0].conversation == conversation {
			e.Subject, e.Count = strings.TrimSpace(e.Subject+" "+lost[0].subject), e.Count+1
			lost = lost[1:]
		}
		s.gateway.deps.Audit.Record(e)
	}
}

// event is an event of this socket.
func (s *socket) event(kind audit.Kind) audit.Event {
	e := audit.Event{Kind: kind, Address: addressText(s.remote), Session: s.id}
	s.mu.Lock()
	if s.grant != nil {
		e.User = s.grant.User
	}
	s.mu.Unlock()
	return e
}
