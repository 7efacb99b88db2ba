package access

import (
	"context"
	"strings"

	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Grow is asked for a grant that covers more, when the one held does not cover
// the subject. It returns the grant of then, and why that does not cover the
// subject's conversation if it does not.
type Grow func(g *session.Grant) (*session.Grant, refusal.Refusal)

// Subscribe decides on a SUB: it returns a refusal, none when the grant covers the SUB, if need be
// after it has grown.
func Subscribe(g *session.Grant, subject, queue string, more Grow) refusal.Refusal {
	if queue == systemQueue {
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
	if _, ok := status.ConversationOf(subject); !ok && !isInbox(subject) || IsRequest(subject) {
		return refusal.Refusal{Why: metrics.RefusalPermission, Reason: refusal.ReasonNotServed}
	}
	return refusal.Refusal{}
}

// Publish is Subscribe for a PUB: a browser publishes nothing but requests.
func Publish(g *session.Grant, subject string, more Grow) refusal.Refusal {
	if !g.CanPublish(subject) {
		var r refusal.Refusal
		if IsRequest(subject) {
			g, r = more(g)
		}
		if !g.CanPublish(subject) {
			return r.OrPermission()
		}
	}
	if subject != status.GatewayToken && subject != status.GatewaySubscriptions && !IsRequest(subject) {
		return refusal.Refusal{Why: metrics.RefusalPermission, Reason: refusal.ReasonNotServed}
	}
	return refusal.Refusal{}
}

// MayJoin returns why the user's grant is not to grow by the conversation; none when it
// is. c is nil for a connection that is not there yet; free says that it would not count
// for the user.
func (a *Access) MayJoin(ctx context.Context, id status.ConversationID, user status.UserID, c *Credential, free bool) refusal.Refusal {
	if r := a.admits(ctx, id, user, c); r.Is() {
		return r
	}
	if v := a.mayPay(user); v.Refused() && !free {
		return refusal.By(v)
	}
	return refusal.Refusal{}
}

// admits is MayJoin for one who need not pay.
func (a *Access) admits(ctx context.Context, id status.ConversationID, user status.UserID, c *Credential) refusal.Refusal {
	admitted, err := a.deps.Directory.Admits(ctx, id, user)
	switch {
	case err != nil:
		a.opts.Logger.Warn("the directory does not answer", "error", err)
		return refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: refusal.ReasonUnavailable}
	case !admitted:
		return refusal.Refusal{Why: metrics.RefusalConversation, Reason: status.NotTheirs(string(id))}
	case c != nil && c.isFull():
		return refusal.GrantFull(session.MaxConversations)
	}
	return refusal.Refusal{}
}

// systemQueue is the queue group that nats-server keeps for itself.
const systemQueue = "_sys_"

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

// IsRequest is true for the subject of a request to the edge.
func IsRequest(subject string) bool { return strings.HasPrefix(subject, "edge.") }

func isInbox(subject string) bool { return strings.HasPrefix(subject, "_INBOX.") }
