package session_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// ownClaims writes what our own callout does for conversations with ids of so many bytes.
func ownClaims(conversations, idBytes int) *jwt.UserClaims {
	c := jwt.NewUserClaims("preview")
	c.Name = "alice"
	c.Sub.Allow = jwt.StringList{"_INBOX.>"}
	c.Pub.Allow = jwt.StringList{status.GatewaySubscriptions, status.GatewayToken}
	for i := range conversations {
		id := status.ConversationID(fmt.Sprintf("%0*d", idBytes, i))
		c.Sub.Allow = append(c.Sub.Allow, status.ConversationSubjects(id), status.PresenceSubject(id))
		for _, verb := range status.EdgeVerbs() {
			c.Pub.Allow = append(c.Pub.Allow, status.EdgeSubject(id, verb))
		}
	}
	return c
}

func grantOf(t testing.TB, c *jwt.UserClaims) *session.Grant {
	t.Helper()
	g, err := session.GrantOf(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestOnlyListsOfOurOwnShapeAreKeptByTheirConversations(t *testing.T) {
	for name, change := range map[string]func(*jwt.UserClaims){
		"a category alone":          func(c *jwt.UserClaims) { c.Sub.Allow[1] = "status.0.engine" },
		"a conversation in a group": func(c *jwt.UserClaims) { c.Sub.Allow[1] = "status.0.* workers" },
		"without presence":          func(c *jwt.UserClaims) { c.Sub.Allow = c.Sub.Allow[:2] },
		"without a request":         func(c *jwt.UserClaims) { c.Pub.Allow = c.Pub.Allow[:3] },
		"everything":                func(c *jwt.UserClaims) { c.Pub.Allow = nil },
		"much beside": func(c *jwt.UserClaims) {
			for i := range 20 {
				c.Pub.Allow = append(c.Pub.Allow, fmt.Sprintf("more.%d", i))
			}
		},
	} {
		c := ownClaims(1, 1)
		change(c)
		if grantOf(t, c).HasShape() {
			t.Errorf("%s: taken for the shape of our own callout", name)
		}
	}
	everything := ownClaims(0, 1)
	everything.Pub.Allow = nil
	if g := grantOf(t, everything); g.HasShape() || !g.CanPublish("edge.0.join") {
		t.Error("no list is taken for an empty one")
	}
	for _, n := range []int{0, 1, 100} {
		if !grantOf(t, ownClaims(n, 3)).HasShape() {
			t.Errorf("%d conversations: compiled to rules", n)
		}
	}
}

func FuzzAShapeDecidesAsTheRulesThatItStandsFor(f *testing.F) {
	for _, s := range []string{
		"status.0.engine", "status.0.*", "status.0.>", "status.1.*", "status.*.*", "status.0", "status.0.", "status.0.a.b", "status..a",
		"presence.0", "presence.0.x", "presence.*", "edge.0.join", "edge.0.history", "edge.0.flow", "edge.0.join.x", "edge..join", "edge.0.*",
		"_INBOX.a", "_INBOX.>", "_INBOX..a", "_INBOX.a.", "_INBOX", "gateway.token", "gateway.token.x", ">", "*", "", ".", "extra.a.b",
	} {
		f.Add(s, "", "extra.*.b")
		f.Add(s, "q", "extra.>")
		f.Add(s, "", "status.7.engine")
	}
	f.Fuzz(func(t *testing.T, subject, queue, extra string) {
		c := ownClaims(3, 1)
		c.Sub.Allow, c.Pub.Allow = append(c.Sub.Allow, extra), append(c.Pub.Allow, extra)
		g, err := session.GrantOf(c)
		rules, wrong := session.RulesOf(c)
		if err != nil || wrong != nil {
			if (err == nil) != (wrong == nil) {
				t.Fatalf("entry %q: %v by its shape, %v by rules", extra, err, wrong)
			}
			return
		}
		if got, want := g.CanSubscribe(subject, queue), rules.CanSubscribe(subject, queue); got != want {
			t.Fatalf("SUB %q %q with %q: %v, the rules say %v", subject, queue, extra, got, want)
		}
		if got, want := g.CanPublish(subject), rules.CanPublish(subject); got != want {
			t.Fatalf("PUB %q with %q: %v, the rules say %v", subject, extra, got, want)
		}
	})
}

// held is how many bytes of memory each of n grants takes that make returns.
func held(n int, make func() *session.Grant) int {
	grants := [](*session.Grant){}
	measure := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := measure()
	for range n {
		grants = append(grants, make())
	}
	after := measure()
	runtime.KeepAlive(grants)
	return int(after-before) / n
}

func TestAGrantTakesNoMoreThanItSays(t *testing.T) {
	const most = 16 << 10
	rules := func(c *jwt.UserClaims) *jwt.UserClaims { // as a callout of a team's own may write them
		c.Sub.Allow = append(c.Sub.Allow, "status.0.engine q")
		c.Pub.Allow = append(c.Pub.Allow, "edge.0.join q")
		return c
	}
	for _, c := range []struct {
		name   string
		claims *jwt.UserClaims
		own    bool
	}{
		{"none", ownClaims(0, 1), true},
		{"one conversation", ownClaims(1, 36), true},
		{"100 conversations", ownClaims(100, 36), true},
		{"100 with the longest ids", ownClaims(100, 128), true},
		{"100 of another shape", rules(ownClaims(100, 36)), false},
	} {
		signed := sign(t, func(u *jwt.UserClaims) { u.Name, u.Sub, u.Pub = c.claims.Name, c.claims.Sub, c.claims.Pub })
		var g *session.Grant
		bytes := held(50, func() *session.Grant {
			var err error
			// A JWT of its own, as each verdict is: what the grant keeps of it shows.
			if g, err = authority.Grant(strings.Clone(signed), time.Now()); err != nil {
				t.Fatal(err)
			}
			return g
		})
		if g.HasShape() != c.own {
			t.Errorf("%s: of our own shape is %v", c.name, g.HasShape())
		}
		t.Logf("%s: %d bytes, %d are said", c.name, bytes, g.Bytes())
		if c.own && bytes > most {
			t.Errorf("%s: %d bytes, at most %d are allowed", c.name, bytes, most)
		}
		if bytes > g.Bytes() {
			t.Errorf("%s: %d bytes, and it says %d", c.name, bytes, g.Bytes())
		}
	}
}

func TestDecidingAllocatesNothing(t *testing.T) {
	g := grantOf(t, ownClaims(100, 36))
	c := g.Conversations[50]
	subject, request := status.ConversationSubjects(c), status.EdgeSubject(c, status.EdgeJoin)
	if n := testing.AllocsPerRun(100, func() {
		if !g.CanSubscribe(subject, "") || !g.CanPublish(request) || !g.CanReceive(subject, "") || !g.Covers(c) ||
			!g.CanSubscribe("_INBOX.a", "") || g.CanSubscribe("status.x.*", "") {
			t.Error("the decisions are wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkGrant decides on subscriptions by a grant of 100 conversations: of our own
// shape, and by rules, which is what each grant had before.
func BenchmarkGrant(b *testing.B) {
	claims := ownClaims(100, 36)
	rules, err := session.RulesOf(claims)
	if err != nil {
		b.Fatal(err)
	}
	for _, form := range []struct {
		name  string
		grant *session.Grant
		again func() *session.Grant
	}{
		{"shape", grantOf(b, claims), func() *session.Grant { return grantOf(b, claims) }},
		{"rules", rules, func() *session.Grant { g, _ := session.RulesOf(claims); return g }},
	} {
		subject := status.ConversationSubjects(form.grant.Conversations[50])
		b.Run(form.name+"/subscribe", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !form.grant.CanSubscribe(subject, "") {
					b.Fatal("refused")
				}
			}
		})
		b.Run(form.name+"/compile", func(b *testing.B) {
			bytes := held(50, form.again)
			b.ReportAllocs()
			for b.Loop() {
				form.again()
			}
			b.ReportMetric(float64(bytes), "bytes/grant")
		})
	}
}
