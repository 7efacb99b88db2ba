package gateway

import (
	"context"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
)

// screen refuses a token that is no good whatever it is to open, before anything
// is spent on it: no credential, no link, no callout. The callout looks at the
// token again; what it signs is the one authority.
//
// An address that has handed in too many bad tokens has to wait with further bad
// ones; whoever else is behind it, with a good token, passes. A *session.Denial
// is the token's, a limitedLogin says to wait.
func (s *socket) screen(ctx context.Context, token string) error {
	look := s.gateway.deps.Screen
	denial := misshapen(token, s.gateway.opts.MaxControlLineBytes)
	switch {
	case denial != nil:
	case look == nil:
		return s.mayFail()
	default:
		denial = look.Screen(ctx, token)
	}
	if denial == nil {
		return nil
	}
	if denial.BadToken {
		if err := s.mayFail(); err != nil {
			return err
		}
	}
	return denial
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

func (l limitedLogin) Error() string { return reasonFailedLogins(l.Verdict) }
