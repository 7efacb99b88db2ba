package authcallout

import (
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/status"
)

// privateInbox is where a browser hears answers. Behind the gateway it never
// leaves its socket, so that clients' default inboxes do. On the server's own
// WebSocket listener all inboxes are shared: there each user has a prefix of their
// own, or one could hear the answers to another's requests. The user is not part of
// its first token: a user called "edge" must not hear what the edge is answered.
func (g grant) privateInbox() string {
	if g.connection == jwt.ConnectionTypeWebsocket {
		return status.ReplyUser + "." + g.user.Token() + ".>"
	}
	return status.ReplyDefault + ".>"
}

// browsersQueues limits the queue groups of an entry to those that are browsers' alone.
// The gateway names them so by itself (internal/fanout/group.go); on the server's own
// listener a browser has to, or it would take part in a group of services.
const browsersQueues = " browsers.>"

// grant is what one connection gets.
type grant struct {
	user          status.UserID
	expires       time.Time
	conversations []status.ConversationID
	// connection is the only type of connection that the grant is good for.
	connection string
}

// expiry is the earlier of the token's end and the grant's lifetime, in whole
// seconds as JWTs have them, never later than the token's end.
func expiry(now time.Time, token time.Time, lifetime time.Duration) (time.Time, error) {
	end := now.Add(lifetime)
	if !token.IsZero() && token.Before(end) {
		end = token
	}
	if end = end.Truncate(time.Second); !end.After(now) {
		return time.Time{}, identity.ErrExpired
	}
	return end, nil
}

// claims writes the grant as the user JWT's claims (jwt/v2). userNkey is the key
// that the server made for this one connection.
func (o Options) claims(userNkey string, g grant) *jwt.UserClaims {
	c := jwt.NewUserClaims(userNkey)
	c.Name = string(g.user)
	c.Audience = o.Account
	c.Expires = g.expires.Unix()
	c.AllowedConnectionTypes = jwt.StringList{g.connection}
	c.Limits.Subs = int64(o.MaxSubscriptions)
	c.Limits.Payload = int64(o.MaxPayloadBytes)
	c.Tags = jwt.TagList{
		fmt.Sprintf("categories:%d", o.MaxCategories),
		fmt.Sprintf("changes:%d", o.ChangesPerMinute),
	}
	// An empty allow list would allow everything; these are never empty.
	c.Sub.Allow = jwt.StringList{g.privateInbox()}
	c.Pub.Allow = jwt.StringList{status.GatewaySubscriptions, status.GatewayToken}
	for _, id := range g.conversations {
		c.Sub.Allow = append(c.Sub.Allow, status.ConversationSubjects(id), status.PresenceSubject(id))
		if g.connection == jwt.ConnectionTypeWebsocket {
			c.Sub.Allow = append(c.Sub.Allow, status.ConversationSubjects(id)+browsersQueues, status.PresenceSubject(id)+browsersQueues)
		}
		for _, verb := range status.EdgeVerbs() {
			c.Pub.Allow = append(c.Pub.Allow, status.EdgeSubject(id, verb))
		}
	}
	return c
}
