package gateway

import (
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Sessions returns the connections of this node that are logged in, by ID.
func (g *Gateway) Sessions(f session.Filter) []session.Info { return g.browsers.Sessions(f) }

// ConversationUse returns who listens in the conversation on this node.
func (g *Gateway) ConversationUse(c status.ConversationID) session.Use { return g.browsers.Use(c) }

// Kick closes the connections of the user on this node, with the reason as the
// close frame's, and forgets the grants that the user's tokens hold here, so
// that the next login is decided anew. It returns how many connections it
// closed. by is who kicks, for the audit. An empty reason is a plain one.
func (g *Gateway) Kick(user status.UserID, reason, by string) int {
	g.access.Forget(user)
	return g.browsers.Kick(user, reason, by)
}
