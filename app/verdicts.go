package app

import (
	"context"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// verdicts is where the grants of browsers come from, and who looks at a token before
// that: our own callout, in the process; or the server, which asks somebody else's. Of
// that one nobody knows what it makes of a token.
func (a *App) verdicts() (access.Verdicts, access.Screen) {
	if a.opts.ExternalCallout {
		return a.links, nil
	}
	return a.callout, a.callout
}

func errExternalPreview() error {
	return status.ErrBadRequest.Withf("only the authorization service can say what it would grant, as callout { external: true } is set: " +
		"ask about a user who is connected and has the conversation, or ask the service")
}

// preview is what a user would be granted now.
func (a *App) preview() func(context.Context, status.UserID, session.Ask) (*session.Grant, error) {
	if a.opts.ExternalCallout {
		return func(context.Context, status.UserID, session.Ask) (*session.Grant, error) {
			return nil, errExternalPreview()
		}
	}
	return a.callout.Preview
}
