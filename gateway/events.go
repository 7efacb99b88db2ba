package gateway

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/status"
)

// refusal is why a SUB or a PUB was refused. The zero value refuses nothing.
type refusal struct {
	why    metrics.Refusal
	limit  limit.Name // the limit that was hit, "" for none
	reason string     // what the browser is told behind the colon; "" for nothing

	retryAfter int // seconds after which the same may pass; 0 when time alone does not help
}

func (r refusal) is() bool { return r.why != "" }

// orPermission is r, or that the grant does not cover the subject.
func (r refusal) orPermission() refusal {
	if r.is() {
		return r
	}
	return refusal{why: metrics.RefusalPermission}
}

// inWords is r with a reason for those who do not see what it was about.
func (r refusal) inWords() refusal {
	if r.why == metrics.RefusalPermission && r.reason == "" {
		r.reason = reasonNotGranted
	}
	return r
}

// refusedBy is a refusal by a limit.
func refusedBy(v limit.Verdict) refusal {
	return refusal{why: metrics.Refusal(v.Name), limit: v.Name, reason: reasonLimited(v), retryAfter: v.RetryAfterSeconds()}
}

// grantRefusal is the refusal that an error of ensure is, none for other errors.
func grantRefusal(err error) refusal {
	var limited *grantLimited
	switch {
	case errors.As(err, &limited):
		return refusedBy(limited.Verdict)
	case errors.Is(err, errGrantFull):
		return refusedGrantFull()
	}
	return refusal{}
}

// refusedGrantFull is a refusal of one more conversation than a grant may cover.
func refusedGrantFull() refusal {
	return refusal{why: metrics.RefusalConversations, reason: reasonTooManyConversations(maxConversations)}
}

// lostAccess is why a subscription ends when its user may not see the
// conversation any more.
func lostAccess(c status.ConversationID) refusal {
	return refusal{why: metrics.RefusalConversation, reason: reasonLostAccess(c)}
}

// refuseSub tells the browser that the SUB is refused, and notes it.
func (s *webSocket) refuseSub(subject, queue string, r refusal) {
	s.sendErr(refuseSub(subject, queue, r.reason))
	s.note(subject, r)
}

// refusePub tells the browser that the PUB is refused, and notes it.
func (s *webSocket) refusePub(subject string, r refusal) {
	s.sendErr(refusePub(subject, r.reason))
	s.note(subject, r)
}

// note counts a refusal and writes it to the audit.
func (s *socket) note(subject string, r refusal) {
	s.gateway.deps.Metrics.Refused(r.why, false)
	e := s.event(audit.KindRefused)
	if r.limit != "" {
		e.Kind, e.Limit = audit.KindLimited, string(r.limit)
	}
	e.Subject, e.Reason = subject, r.reason
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
func (s *socket) closed(why closing) {
	if why.why != "" {
		s.gateway.deps.Metrics.Refused(why.why, false)
	}
	if why.kind == "" {
		return
	}
	e := s.event(why.kind)
	e.Reason, e.Code = s.dialect.told(why)
	if e.User == "" {
		e.User = why.user
	}
	if why.kind == audit.KindLimited {
		e.Limit = string(why.why)
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
		e.Conversation, e.Reason = conversation, reasonLostAccess(conversation)
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
