package authcallout

import (
	"context"
	"runtime/debug"

	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Screen looks at a token alone, before anybody opens a link for it: it returns
// whom the token speaks for, or the denial that a login with it would get whatever
// it asks for. What it denies is counted as a denial.
func (s *Service) Screen(ctx context.Context, token string) (user status.UserID, denied *session.Denial) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("authorization: the verifier panicked", "panic", p, "stack", string(debug.Stack()))
			user, denied = "", s.screened(errWorkerFailed)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	who, err := s.identify(ctx, token)
	if err != nil {
		return "", s.screened(err)
	}
	return who.User, nil
}

func (s *Service) screened(err error) *session.Denial {
	d, cause := denialOf(err)
	s.counters.verdict(Verdict{Denial: &d, Cause: cause})
	s.opts.Logger.Debug("authorization denied before a link", "cause", string(cause), "error", err)
	return &d
}
