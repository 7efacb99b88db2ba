package authcallout

import (
	"context"
	"runtime/debug"

	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Screen looks at a token alone, before anybody asks for a verdict on it: it returns
// the proof that the token is good, or the denial that a login with it would get
// whatever it asks for. What it denies is counted as a denial.
func (s *Service) Screen(ctx context.Context, token string) (good session.Proof, denied *session.Denial) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("authorization: the verifier panicked", "panic", p, "stack", string(debug.Stack()))
			good, denied = nil, s.screened(errWorkerFailed)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	who, err := s.identify(ctx, token)
	if err != nil {
		return nil, s.screened(err)
	}
	return &proof{service: s, token: token, who: who}, nil
}

// proof is a token that Screen found good.
type proof struct {
	service *Service
	token   string
	who     identity.Identity
}

// User implements session.Proof.
func (p *proof) User() status.UserID { return p.who.User }

// proven is what a login has proven already: its own token, to this service.
func (s *Service) proven(login session.Login) (identity.Identity, bool) {
	p, ok := login.Proof.(*proof)
	if !ok || p.service != s || p.token != login.Token {
		return identity.Identity{}, false
	}
	return p.who, true
}

func (s *Service) screened(err error) *session.Denial {
	d, cause := denialOf(err)
	s.counters.verdict(Verdict{Denial: &d, Cause: cause})
	s.opts.Logger.Debug("authorization denied before a link", "cause", string(cause), "error", err)
	return &d
}
