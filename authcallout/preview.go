package authcallout

import (
	"context"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Preview returns the grant that a browser of the user would get now for what is
// asked, decided and written as for one that logs in, and not signed: it opens
// nothing. It is for explaining decisions. A denial is a *session.Denial. A token
// is not looked at, so the end of one is not in the grant.
func (s *Service) Preview(ctx context.Context, user status.UserID, ask session.Ask) (*session.Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	g, err := s.entitled(ctx, grant{user: user, connection: jwt.ConnectionTypeInProcess}, time.Time{}, ask)
	if err != nil {
		denial, _ := denialOf(err)
		return nil, &denial
	}
	return session.GrantOf(s.opts.claims("preview", g))
}
