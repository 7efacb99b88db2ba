package session

import (
	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/status"
)

// HasShape says whether both lists have the shape that our own callout gives them.
func (g *Grant) HasShape() bool { return g.sub.shape != nil && g.pub.shape != nil }

// RulesOf is GrantOf without the shape, whatever the lists are.
func RulesOf(claims *jwt.UserClaims) (*Grant, error) {
	none := func(string) (status.ConversationID, bool) { return "", false }
	subjects := func(status.ConversationID) []string { return []string{"no such entry"} }
	g, err := GrantOf(claims)
	if err != nil {
		return nil, err
	}
	never := []status.ConversationID{"c"}
	if g.sub, err = compile(claims.Sub, never, subjects, none); err != nil {
		return nil, err
	}
	g.pub, err = compile(claims.Pub, never, subjects, none)
	return g, err
}
