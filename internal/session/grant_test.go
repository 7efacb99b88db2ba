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

// issuer signs the tests' user JWTs, and authority reads them.
var (
	issuer    = account()
	authority = session.Authority{Issuer: publicOf(issuer), Account: "STATUS"}
)

func account() nkeys.KeyPair {
	kp, err := nkeys.CreateAccount()
	if err != nil {
		panic(err)
	}
	return kp
}

func publicOf(kp nkeys.KeyPair) string {
	public, err := kp.PublicKey()
	if err != nil {
		panic(err)
	}
	return public
}

// sign makes a user JWT.
func sign(t *testing.T, change func(*jwt.UserClaims)) string {
	t.Helper()
	return signBy(t, issuer, change)
}

func signBy(t *testing.T, issuer nkeys.KeyPair, change func(*jwt.UserClaims)) string {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewUserClaims(publicOf(user))
	claims.Name, claims.Audience = "alice", "STATUS"
	claims.AllowedConnectionTypes.Add("IN_PROCESS")
	change(claims)
	signed, err := claims.Encode(issuer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestAGrantIsWhatItsJWTSays(t *testing.T) {
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	g, err := authority.Grant(sign(t, func(c *jwt.UserClaims) {
		c.Expires = end.Unix()
		c.NatsLimits.Subs, c.NatsLimits.Payload = 64, 1000
		c.Sub.Allow = jwt.StringList{"_INBOX.>", "status.c2.*", "presence.c2", "status.c1.engine", "status.*.info"}
		c.Pub.Allow = jwt.StringList{"edge.c1.join"}
		c.Tags = jwt.TagList{"team:red", "categories:7", "changes:many"}
	}), time.Now())
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
		if _, err := authority.Grant(forged, time.Now()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What nats-server refuses of its callout is no grant here either, whichever way it came.
func TestOnlyTheCalloutsJWTIsAGrant(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name   string
		by     nkeys.KeyPair
		change func(*jwt.UserClaims)
		want   string // of the error; "" for a grant
	}{
		{"as it should be", issuer, func(*jwt.UserClaims) {}, ""},
		{"an end in the future", issuer, func(c *jwt.UserClaims) { c.Expires = now.Unix() + 1 }, ""},
		{"signed by another account", account(), func(*jwt.UserClaims) {}, "has signed it"},
		{"on behalf of another account", issuer, func(c *jwt.UserClaims) { c.IssuerAccount = publicOf(account()) }, "has signed it"},
		{"for another account", issuer, func(c *jwt.UserClaims) { c.Audience = "SYS" }, `for the account "SYS"`},
		{"for no account", issuer, func(c *jwt.UserClaims) { c.Audience = "" }, `for the account ""`},
		{"it ends now", issuer, func(c *jwt.UserClaims) { c.Expires = now.Unix() }, "it has ended"},
		{"it begins later", issuer, func(c *jwt.UserClaims) { c.NotBefore = now.Unix() + 1 }, "it begins"},
		{"for connections of another type", issuer, func(c *jwt.UserClaims) { c.AllowedConnectionTypes = jwt.StringList{"WEBSOCKET"} }, "WEBSOCKET"},
		{"for those on the NATS port as well", issuer, func(c *jwt.UserClaims) { c.AllowedConnectionTypes.Add("STANDARD") }, "STANDARD"},
		{"for connections of every type", issuer, func(c *jwt.UserClaims) { c.AllowedConnectionTypes = nil }, "IN_PROCESS alone"},
		{"with a subject that is none", issuer, func(c *jwt.UserClaims) { c.Sub.Deny.Add("a..b") }, "subscribe permissions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := authority.Grant(signBy(t, c.by, c.change), now)
			switch {
			case c.want == "" && (err != nil || g.User != "alice"):
				t.Errorf("got %+v, %v", g, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
