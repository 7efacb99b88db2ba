package gateway

import (
	"context"
	"fmt"

	"github.com/statuswire/statuswire/internal/link"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
)

// Verdicts is where the grant of a login comes from.
type Verdicts interface {
	// Decide returns the grant of a signed user JWT. A denial is a *session.Denial;
	// any other error is passing. It gives up at the deadline of ctx.
	Decide(ctx context.Context, login session.Login, ask session.Ask) (*session.Grant, error)
}

// Links is where it comes from with Options.KeepLinks: by a link to the server, which
// the socket has for its life.
type Links interface {
	Keep(ctx context.Context, login session.Login, ask session.Ask) (*session.Grant, *link.Kept, error)
}

// verdict asks for a grant when it is the login's turn. The link is nil unless links
// are kept; then it is open, and the caller's. A denial is a *session.Denial.
func (g *Gateway) verdict(ctx context.Context, login session.Login, ask session.Ask) (*session.Grant, *link.Kept, error) {
	select {
	case g.verdictSlots <- struct{}{}:
		defer func() { <-g.verdictSlots }()
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("wait for a verdict's turn: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, g.opts.VerdictTimeout)
	defer cancel()
	g.verdicts.Add(1)
	if g.opts.KeepLinks {
		return g.deps.Links.Keep(ctx, login, ask)
	}
	grant, err := g.deps.Verdicts.Decide(ctx, login, ask)
	return grant, nil, err
}

// keepLink makes l the socket's link, in place of an earlier one.
func (s *socket) keepLink(l *link.Kept) {
	s.mu.Lock()
	old := s.link
	s.link = l
	s.mu.Unlock()
	if old != nil {
		old.Close()
	}
	s.gateway.running.Go(func() { // ends with the link, which ends with the socket
		if end := l.Serve(); !end.Ours {
			s.close(refusal.CloseLinkEnded(end.Last, end.ServerRuns))
		}
	})
	if s.isClosing() {
		l.Close()
	}
}
