package session_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// sign makes a user JWT.
func sign(t *testing.T, change func(*jwt.UserClaims)) string {
	t.Helper()
	issuer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewUserClaims(public)
	claims.Name = "alice"
	change(claims)
	signed, err := claims.Encode(issuer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestAGrantIsWhatItsJWTSays(t *testing.T) {
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	g, err := session.ParseGrant(sign(t, func(c *jwt.UserClaims) {
		c.Expires = end.Unix()
		c.NatsLimits.Subs, c.NatsLimits.Payload = 64, 1000
		c.Sub.Allow = jwt.StringList{"_INBOX.>", "status.c2.*", "presence.c2", "status.c1.engine", "status.*.info"}
		c.Pub.Allow = jwt.StringList{"edge.c1.join"}
		c.Tags = jwt.TagList{"team:red", "categories:7", "changes:many"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if g.User != "alice" || !g.Expires.Equal(end) || g.MaxSubscriptions != 64 || g.MaxPayloadBytes != 1000 {
		t.Fatalf("got %+v", g)
	}
	if !slices.Equal(g.Conversations, []status.ConversationID{"c1", "c2"}) || !g.Covers("c1") || g.Covers("c3") {
		t.Fatalf("conversations %v", g.Conversations)
	}
	if g.Expired(end.Add(-time.Second)) || !g.Expired(end) {
		t.Fatal("expiry is off")
	}
	if !g.CanPublish("edge.c1.join") || g.CanPublish("edge.c2.join") || !g.CanSubscribe("status.c2.tool", "") || g.CanSubscribe("status.c1.tool", "") {
		t.Fatal("permissions are off")
	}
	if g.MaxCategories != 7 || g.MaxChanges != 0 {
		t.Fatalf("tags: %d categories, %d changes", g.MaxCategories, g.MaxChanges)
	}
	if g.Filters() || !g.CanReceive("status.c1.engine", "") {
		t.Fatal("there is no deny list")
	}
}

func TestAForgedGrantIsRefused(t *testing.T) {
	signed := sign(t, func(*jwt.UserClaims) {})
	parts := strings.Split(signed, ".")
	other := strings.Split(sign(t, func(c *jwt.UserClaims) { c.Name = "mallory" }), ".")
	for name, forged := range map[string]string{
		"empty":                   "",
		"no JWT":                  "eyJ.eyJ.eyJ",
		"another one's claims":    parts[0] + "." + other[1] + "." + parts[2],
		"another one's signature": parts[0] + "." + parts[1] + "." + other[2],
	} {
		if _, err := session.ParseGrant(forged); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
