package authcallout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

func ids(ids ...status.ConversationID) []status.ConversationID { return ids }

func TestAGrantCoversWhatIsTheirs(t *testing.T) {
	r := start(t, setup{})
	for _, c := range []struct {
		name string
		user status.UserID
		ask  session.Ask
		want []status.ConversationID
	}{
		{"nothing asked, nothing granted", "alice", session.Ask{}, nil},
		{"the own conversation joined", "alice", session.Ask{Join: "c1"}, ids("c1")},
		{"a member joins", "bob", session.Ask{Join: "c2"}, ids("c2")},
		{"joined and wanted", "alice", session.Ask{Join: "c2", Want: ids("c1")}, ids("c1", "c2")},
		{"wanted twice", "alice", session.Ask{Join: "c1", Want: ids("c1", "c1")}, ids("c1")},
		{"a stranger's wanted is left out", "bob", session.Ask{Want: ids("c1", "c2", "c3")}, ids("c2", "c3")},
		{"an unknown one wanted is left out", "bob", session.Ask{Join: "c3", Want: ids("nope")}, ids("c3")},
		{"a wildcard wanted is left out", "alice", session.Ask{Want: ids("*", ">", "c1.>", "")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := r.connect(t, c.ask, map[string]string{"auth_token": token(t, c.user, time.Hour)})
			if l.said != "PONG" || l.denial != nil {
				t.Fatalf("server says %q, denial %v", l.said, l.denial)
			}
			claims, err := jwt.DecodeUserClaims(l.jwt)
			if err != nil {
				t.Fatal(err)
			}
			var sub, pub = jwt.StringList{"_INBOX.>"}, jwt.StringList{"gateway.subscriptions", "gateway.token"}
			for _, id := range c.want {
				sub = append(sub, "status."+string(id)+".*", "presence."+string(id))
				pub = append(pub, "edge."+string(id)+".join", "edge."+string(id)+".presence", "edge."+string(id)+".history")
			}
			if got := claims.Sub.Allow; strings.Join(got, " ") != strings.Join(sub, " ") {
				t.Errorf("subscribe: %v, want %v", got, sub)
			}
			if got := claims.Pub.Allow; strings.Join(got, " ") != strings.Join(pub, " ") {
				t.Errorf("publish: %v, want %v", got, pub)
			}
			if claims.Name != string(c.user) || claims.Audience != "STATUS" {
				t.Errorf("name %q, audience %q", claims.Name, claims.Audience)
			}
		})
	}
}

func TestTheGrantHasTheLimitsOfTheOptions(t *testing.T) {
	r := start(t, setup{opts: authcallout.Options{MaxSubscriptions: 7, MaxPayloadBytes: 1000, MaxCategories: 3, ChangesPerMinute: 4, MaxConversations: 2}})
	l := r.connect(t, session.Ask{Want: ids("many1", "many2", "many3")}, map[string]string{"pass": token(t, "alice", time.Hour)})
	claims, err := jwt.DecodeUserClaims(l.jwt)
	if err != nil {
		t.Fatalf("%v, %v", err, l.denial)
	}
	if claims.Limits.Subs != 7 || claims.Limits.Payload != 1000 {
		t.Errorf("limits %+v", claims.Limits.NatsLimits)
	}
	if got := strings.Join(claims.Tags, " "); got != "categories:3 changes:4" {
		t.Errorf("tags %q", got)
	}
	if len(claims.Pub.Allow) != 2+2*len(status.EdgeVerbs()) {
		t.Errorf("publish %v, want two conversations", claims.Pub.Allow)
	}
	if got := strings.Join(claims.AllowedConnectionTypes, " "); got != "IN_PROCESS" {
		t.Errorf("connection types %q", got)
	}
	g, err := r.read(l.jwt)
	if err != nil || len(g.Conversations) != 2 {
		t.Errorf("grant %+v, %v", g, err)
	}
}

func TestExpiryIsTheEarlierOfTokenAndLifetime(t *testing.T) {
	r := start(t, setup{opts: authcallout.Options{GrantLifetime: time.Minute}})
	for _, c := range []struct {
		name string
		ttl  time.Duration
		want time.Duration
	}{
		{"a token that ends first", 20 * time.Second, 20 * time.Second},
		{"a lifetime that ends first", time.Hour, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Now()
			l := r.connect(t, session.Ask{}, map[string]string{"auth_token": token(t, "alice", c.ttl)})
			g, err := r.read(l.jwt)
			if err != nil {
				t.Fatalf("%v, %v", err, l.denial)
			}
			if off := g.Expires.Sub(now.Add(c.want)); off > time.Second || off < -2*time.Second {
				t.Errorf("expires in %v, want %v", g.Expires.Sub(now), c.want)
			}
		})
	}
}

func TestDenials(t *testing.T) {
	r := start(t, setup{opts: authcallout.Options{Timeout: 300 * time.Millisecond}})
	good := token(t, "alice", time.Hour)
	forged, err := identity.Issue([]byte("another secret that is 32 bytes!"), "alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	expired, err := identity.Issue(tokenSecret, "alice", time.Minute, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		token  string
		ask    session.Ask
		reason string
		final  bool
	}{
		{"no token", "", session.Ask{}, identity.ErrEmpty.Reason, true},
		{"an expired token", expired, session.Ask{}, "token expired: get a fresh one", true},
		{"a forged token", forged, session.Ask{}, identity.ErrWrongSignature.Reason, true},
		{"no JWT at all", "letmein", session.Ask{}, identity.ErrMalformed.Reason, true},
		{"a stranger's conversation", good, session.Ask{Join: "c3"}, `conversation "c3" is not found or not yours`, true},
		{"an unknown conversation", good, session.Ask{Join: "c4"}, `conversation "c4" is not found or not yours`, true},
		{"a wildcard as conversation", good, session.Ask{Join: "*"}, `conversation "*" is not found or not yours`, true},
		{"a stranger's although others are theirs", good, session.Ask{Join: "c3", Want: ids("c1")}, `conversation "c3" is not found or not yours`, true},
		{"a directory that fails", good, session.Ask{Join: "broken"}, "access cannot be checked at the moment: try again", false},
		{"a directory that fails on the wanted", good, session.Ask{Join: "c1", Want: ids("broken")}, "access cannot be checked at the moment: try again", false},
		{"a directory that is slow", good, session.Ask{Join: "slow"}, "the authorization took too long: try again", false},
		{"a directory that panics", good, session.Ask{Join: "panic"}, "the authorization failed: try again", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := r.connect(t, c.ask, map[string]string{"auth_token": c.token})
			if l.said != "-ERR 'Authorization Violation'" {
				t.Errorf("server says %q", l.said)
			}
			if l.denial == nil || l.jwt != "" {
				t.Fatalf("denial %v, jwt %q", l.denial, l.jwt)
			}
			if l.denial.Reason != c.reason || l.denial.Final != c.final {
				t.Errorf("denial %q final %v, want %q final %v", l.denial.Reason, l.denial.Final, c.reason, c.final)
			}
			if l.took > soon {
				t.Errorf("took %v: the link must not wait for the server's timeout", l.took)
			}
		})
	}
	// After the panic and all else the service still works.
	if l := r.connect(t, session.Ask{Join: "c1"}, map[string]string{"auth_token": good}); l.said != "PONG" {
		t.Errorf("after the denials the server says %q, %v", l.said, l.denial)
	}
}

func TestConnectUserIsNotTheCalloutsToRead(t *testing.T) {
	r := start(t, setup{})
	l := r.connect(t, session.Ask{}, map[string]string{"auth_token": token(t, "alice", time.Hour), "user": "c3"})
	if l.said != "PONG" {
		t.Errorf("server says %q, %v", l.said, l.denial)
	}
}

func TestOnVerdictHearsOfGrantsAndDenials(t *testing.T) {
	var heard verdicts
	r := start(t, setup{opts: authcallout.Options{OnVerdict: heard.add}})
	r.connect(t, session.Ask{Join: "c1"}, map[string]string{"auth_token": token(t, "alice", time.Hour)})
	r.connect(t, session.Ask{Join: "c1"}, map[string]string{"auth_token": token(t, "bob", time.Hour)})
	waitFor(t, "two verdicts", func() bool { return len(heard.all()) == 2 })

	granted, denied := heard.all()[0], heard.all()[1]
	if granted.Denial != nil || granted.User != "alice" || len(granted.Conversations) != 1 || granted.Address != "203.0.113.9" || granted.Duration <= 0 {
		t.Errorf("granted: %+v", granted)
	}
	if denied.Denial == nil || denied.User != "bob" || denied.Cause != authcallout.CauseConversation || denied.Key.ServerID != r.engine.ServerID() {
		t.Errorf("denied: %+v", denied)
	}
	s := r.service.Stats()
	if s.Granted != 1 || s.Denied[authcallout.CauseConversation] != 1 || len(s.Denied) != 1 {
		t.Errorf("stats %+v", s)
	}
}
