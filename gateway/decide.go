package gateway

import (
	"context"
	"strings"

	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// grow is asked for a grant that covers more, when the one held does not cover
// the subject. It returns the grant of then, and why that does not cover the
// subject's conversation if it does not.
type grow func(g *session.Grant) (*session.Grant, refusal.Refusal)

// decideSub returns a refusal, none when the grant covers the SUB, if need be
// after it has grown.
func decideSub(g *session.Grant, subject, queue string, more grow) refusal.Refusal {
	if queue == sysQueue {
		return refusal.Refusal{Why: metrics.RefusalPermission}
	}
	if reason := unusable(subject, queue); reason != "" {
		return refusal.Refusal{Why: metrics.RefusalPermission, Reason: reason}
	}
	if !g.CanSubscribe(subject, queue) {
		var r refusal.Refusal
		if g, r = more(g); !g.CanSubscribe(subject, queue) {
			return r.OrPermission()
		}
	}
	if _, ok := status.ConversationOf(subject); !ok && !isInbox(subject) || isEdge(subject) {
		return refusal.Refusal{Why: metrics.RefusalPermission, Reason: refusal.ReasonNotServed}
	}
	return refusal.Refusal{}
}

// decidePub is decideSub for a PUB: a browser publishes nothing but requests.
func decidePub(g *session.Grant, subject string, more grow) refusal.Refusal {
	if !g.CanPublish(subject) {
		var r refusal.Refusal
		if isEdge(subject) {
			g, r = more(g)
		}
		if !g.CanPublish(subject) {
			return r.OrPermission()
		}
	}
	if subject != status.GatewayToken && subject != status.GatewaySubscriptions && !isEdge(subject) {
		return refusal.Refusal{Why: metrics.RefusalPermission, Reason: refusal.ReasonNotServed}
	}
	return refusal.Refusal{}
}

// decideJoin returns why the user's grant is not to grow by the conversation;
// none when it is. cred is nil for a connection that is not there yet.
func (g *Gateway) decideJoin(ctx context.Context, c status.ConversationID, user status.UserID, cred *credential) refusal.Refusal {
	admitted, err := g.deps.Directory.Admits(ctx, c, user)
	switch {
	case err != nil:
		g.opts.Logger.Warn("the directory does not answer", "error", err)
		return refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUnavailable}
	case !admitted:
		return refusal.Refusal{Why: metrics.RefusalConversation, Reason: status.NotTheirs(string(c))}
	case cred != nil && cred.isFull():
		return refusal.GrantFull(maxConversations)
	}
	return refusal.Refusal{}
}

// maxQueueBytes bounds the name of a queue group.
const maxQueueBytes = 128

// unusable says why nothing can come by the subscription, whoever asks; "" if
// it can. What passes is also short: the server ends the connection of the
// fan-out, which all browsers share, for a line beyond its own limit.
func unusable(subject, queue string) string {
	if len(queue) > maxQueueBytes {
		return refusal.ReasonLongQueue
	}
	root, rest, _ := strings.Cut(subject, ".")
	_, last, more := strings.Cut(rest, ".")
	switch {
	case root == "presence" && more:
		return refusal.ReasonNotServed
	case root != "status" || !more || last == "*" || last == ">":
		return ""
	}
	if _, err := status.ParseCategory(last); err != nil {
		return refusal.ReasonNoCategory
	}
	return ""
}

func isEdge(subject string) bool { return strings.HasPrefix(subject, "edge.") }
