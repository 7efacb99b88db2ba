package gateway

import (
	"context"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// screen refuses a login that can only be refused, before anything is spent on it:
// no credential and no verdict. The callout looks at all of it again; what it
// signs is the one authority.
//
// An address that has handed in too many bad tokens has to wait with further bad
// ones; whoever else is behind it, with a good token, passes. A *session.Denial is
// the login's, a limitedLogin says to wait. The proof is nil when nobody screens.
func (s *socket) screen(ctx context.Context, token string, join status.ConversationID) (session.Proof, error) {
	denial := misshapen(token, s.gateway.opts.MaxControlLineBytes)
	var proof session.Proof
	switch look := s.gateway.deps.Screen; {
	case denial != nil:
	case look == nil:
		return nil, s.mayFail()
	default:
		proof, denial = look.Screen(ctx, token)
	}
	switch {
	case denial == nil:
		return proof, s.screenJoin(ctx, proof.User(), join)
	case denial.BadToken:
		if err := s.mayFail(); err != nil {
			return nil, err
		}
	}
	return nil, denial
}

// screenJoin refuses a login that names a conversation which is not its user's.
func (s *socket) screenJoin(ctx context.Context, user status.UserID, join status.ConversationID) error {
	if join == "" {
		return nil
	}
	if r := s.gateway.decideJoin(ctx, join, user, nil); r.Is() {
		return &session.Denial{Reason: r.Reason, Final: r.Why == metrics.RefusalConversation, User: user}
	}
	return nil
}

func (s *socket) mayFail() error {
	if v := s.place.mayFail(); v.Refused() {
		return limitedLogin{v}
	}
	return nil
}

// denied counts a final denial if it is a failed login.
func (s *socket) denied(d *session.Denial) {
	if d.BadToken {
		s.place.loginFailed()
	}
}

// limitedLogin is the error of a token that may not be tried now.
type limitedLogin struct{ limit.Verdict }

func (l limitedLogin) Error() string { return refusal.ReasonFailedLogins(l.Verdict) }
