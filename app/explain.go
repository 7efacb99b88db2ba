package app

import (
	"context"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/session"
)

// explainer lets the admin service ask the gateway, which has the rest of the
// evidence from the directory and the callout.
type explainer struct {
	gateway  *gateway.Gateway
	evidence gateway.Evidence
}

func (e explainer) Explain(ctx context.Context, q session.Question) (session.Explanation, error) {
	return e.gateway.Explain(ctx, q, e.evidence)
}
