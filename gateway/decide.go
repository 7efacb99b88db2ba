package gateway

import (
	"context"
	"strings"

	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// grow is asked for a grant that covers more, when the one held does not cover
// the subject. It returns the grant of then, and why that does not cover the
// subject's conversation if it does not.
type grow func(g *session.Grant) (*session.Grant, string)

// decideSub returns the text of a refusal, or "" when the grant covers the SUB,
// if need be after it has grown.
func decideSub(g *session.Grant, subject, queue string, more grow) string {
	if queue == sysQueue {
		return refuseSub(subject, queue, "")
	}
	if !g.CanSubscribe(subject, queue) {
		var reason string
		if g, reason = more(g); !g.CanSubscribe(subject, queue) {
			return refuseSub(subject, queue, reason)
		}
	}
	if _, ok := status.ConversationOf(subject); !ok && !isInbox(subject) || isEdge(subject) {
		return refuseSub(subject, queue, reasonNotServed)
	}
	return ""
}

// decidePub is decideSub for a PUB: a browser publishes nothing but requests.
func decidePub(g *session.Grant, subject string, more grow) string {
	if !g.CanPublish(subject) {
		var reason string
		if isEdge(subject) {
			g, reason = more(g)
		}
		if !g.CanPublish(subject) {
			return refusePub(subject, reason)
		}
	}
	if subject != status.GatewayToken && !isEdge(subject) {
		return refusePub(subject, reasonNotServed)
	}
	return ""
}

// decideJoin returns why the user's grant is not to grow by the conversation;
// "" when it is. cred is nil for a connection that is not there yet.
func (g *Gateway) decideJoin(ctx context.Context, c status.ConversationID, user status.UserID, cred *credential) string {
	admitted, err := g.deps.Directory.Admits(ctx, c, user)
	switch {
	case err != nil:
		g.opts.Logger.Warn("the directory does not answer", "error", err)
		return reasonUnavailable
	case !admitted:
		return status.NotTheirs(string(c))
	case cred != nil && len(cred.inUse()) >= maxConversations:
		return reasonTooManyConversations(maxConversations)
	}
	return ""
}

func isEdge(subject string) bool { return strings.HasPrefix(subject, "edge.") }
