package access

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
// lives as long as the browser.
type Links interface {
	Keep(ctx context.Context, login session.Login, ask session.Ask) (*session.Grant, *link.Kept, error)
}

// verdict asks for a grant when it is the login's turn. The link is nil unless links
// are kept; then it is open, and the caller's. A denial is a *session.Denial.
func (a *Access) verdict(ctx context.Context, login session.Login, ask session.Ask) (*session.Grant, *link.Kept, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("wait for a verdict's turn: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, a.opts.VerdictTimeout)
	defer cancel()
	a.asked.Add(1)
	if a.opts.KeepLinks {
		return a.deps.Links.Keep(ctx, login, ask)
	}
	grant, err := a.deps.Verdicts.Decide(ctx, login, ask)
	return grant, nil, err
}

// keepLink makes l the credential's link, in place of an earlier one. Its end ends the
// browsers.
func (c *Credential) keepLink(l *link.Kept) {
	c.mu.Lock()
	old := c.link
	c.link = l
	c.mu.Unlock()
	if old != nil {
		old.Close()
	}
	c.access.goes(func() { // ends with the link, which ends with the credential
		if end := l.Serve(); !end.Ours {
			c.linkEnded(l, refusal.CloseLinkEnded(end.Last, end.ServerRuns))
		}
	})
}

// linkEnded has the browsers of a link that has ended by itself end; the one that is
// still on its way in, too.
func (c *Credential) linkEnded(l *link.Kept, why refusal.Closing) {
	c.mu.Lock()
	if c.link == l {
		c.ended = &why
	}
	c.mu.Unlock()
	c.closeAll(why)
}
