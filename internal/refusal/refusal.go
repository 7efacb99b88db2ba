package refusal

import (
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/status"
)

// Refusal is why a SUB or a PUB was refused. The zero value refuses nothing.
type Refusal struct {
	Why    metrics.Refusal // as it is counted
	Limit  limit.Name      // the limit that was hit, "" for none
	Reason string          // what the browser is told behind the colon; "" for nothing

	RetryAfter int // seconds after which the same may pass; 0 when time alone does not help
}

// Is is true when something is refused.
func (r Refusal) Is() bool { return r.Why != "" }

// OrPermission is r, or that the grant does not cover the subject.
func (r Refusal) OrPermission() Refusal {
	if r.Is() {
		return r
	}
	return Refusal{Why: metrics.RefusalPermission}
}

// InWords is r with a reason for those who do not see what it was about.
func (r Refusal) InWords() Refusal {
	if r.Why == metrics.RefusalPermission && r.Reason == "" {
		r.Reason = reasonNotGranted
	}
	return r
}

// By is a refusal by a limit.
func By(v limit.Verdict) Refusal {
	return Refusal{Why: metrics.Refusal(v.Name), Limit: v.Name, Reason: reasonLimited(v), RetryAfter: v.RetryAfterSeconds()}
}

// GrantFull is a refusal of one more conversation than a grant may cover.
func GrantFull(most int) Refusal {
	return Refusal{Why: metrics.RefusalConversations, Reason: reasonTooManyConversations(most)}
}

// LostAccess is why a subscription ends when its user may not see the
// conversation any more.
func LostAccess(c status.ConversationID) Refusal {
	return Refusal{Why: metrics.RefusalConversation, Reason: ReasonLostAccess(c)}
}
