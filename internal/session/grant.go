package session

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/status"
)

// Grant is a signed user JWT with its permissions compiled: the one authority
// on what a session may do. It does not change; a regrant makes a new one. Safe
// for concurrent use.
type Grant struct {
	// User is who holds the grant: the JWT's name.
	User status.UserID
	// Expires is when the grant ends; the zero time means never.
	Expires time.Time
	// MaxSubscriptions and MaxPayloadBytes bound the connection; -1 means that
	// the JWT sets no bound.
	MaxSubscriptions int
	MaxPayloadBytes  int
	// MaxCategories and MaxChanges are the tags categories:N and changes:N: how
	// many categories the connection may have, and how many subscription changes
	// a minute its user. 0 means that the JWT does not say; -1 that there is no
	// bound.
	MaxCategories int
	MaxChanges    int
	// Conversations are those that the grant lets its holder subscribe in, sorted.
	Conversations []status.ConversationID

	sub, pub permissions
}

// bytesOfGrant is what a grant takes beside its conversations and permissions.
const bytesOfGrant = 512

// Bytes is about how much memory the grant takes, rather too much than too little.
// Nothing of the JWT is kept.
func (g *Grant) Bytes() int {
	n := bytesOfGrant + len(g.User) + g.sub.bytes() + g.pub.bytes()
	for _, c := range g.Conversations {
		n += len(c) + int(unsafe.Sizeof(c))
	}
	return n
}

// GrantOf compiles the claims of a user JWT, whether they are signed or only what
// would be.
func GrantOf(claims *jwt.UserClaims) (*Grant, error) {
	var err error
	g := &Grant{
		User:             status.UserID(strings.Clone(claims.Name)),
		MaxSubscriptions: int(claims.NatsLimits.Subs),
		MaxPayloadBytes:  int(claims.NatsLimits.Payload),
	}
	if claims.Expires != 0 {
		g.Expires = time.Unix(claims.Expires, 0)
	}
	for _, subject := range claims.Sub.Allow {
		if c, ok := status.ConversationOf(subject); ok {
			g.Conversations = append(g.Conversations, c)
		}
	}
	slices.Sort(g.Conversations)
	g.Conversations = joined(slices.Compact(g.Conversations))
	if g.sub, err = compile(claims.Sub, g.Conversations, subscriptionsOf, takeSubscription); err != nil {
		return nil, fmt.Errorf("user JWT, subscribe permissions: %w", err)
	}
	if g.pub, err = compile(claims.Pub, g.Conversations, requestsOf, takeRequest); err != nil {
		return nil, fmt.Errorf("user JWT, publish permissions: %w", err)
	}
	g.MaxCategories = tagNumber(claims.Tags, "categories")
	g.MaxChanges = tagNumber(claims.Tags, "changes")
	return g, nil
}

// tagNumber reads the tag name:N, 0 when there is none or it is no number.
func tagNumber(tags jwt.TagList, name string) int {
	for _, tag := range tags {
		value, ok := strings.CutPrefix(tag, name+":")
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(value); err == nil {
			return max(n, -1)
		}
	}
	return 0
}

// CanSubscribe decides on a SUB of subject, in queue group queue unless it is
// "", as nats-server does with the same JWT.
func (g *Grant) CanSubscribe(subject, queue string) bool { return g.sub.subscribe(subject, queue) }

// Filters is true when a subscription that is allowed may still reach over
// subjects that the grant denies: then CanReceive decides on each message.
func (g *Grant) Filters() bool { return g.sub.deny != nil }

// CanReceive decides on the delivery of a message on subject to a subscription,
// in queue group queue unless it is "", as nats-server does with the same JWT.
func (g *Grant) CanReceive(subject, queue string) bool { return g.sub.receive(subject, queue) }

// CanPublish decides on a PUB to subject, as nats-server does with the same JWT.
func (g *Grant) CanPublish(subject string) bool { return g.pub.publish(subject) }

// Covers is true when the conversation is among the granted.
func (g *Grant) Covers(c status.ConversationID) bool {
	_, ok := g.Index(c)
	return ok
}

// Index is where the conversation stands in Conversations, and whether it does.
func (g *Grant) Index(c status.ConversationID) (int, bool) {
	return slices.BinarySearch(g.Conversations, c)
}

// Expired is true when the grant has ended at the time now.
func (g *Grant) Expired(now time.Time) bool {
	return !g.Expires.IsZero() && !now.Before(g.Expires)
}
