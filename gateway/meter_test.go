package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/status"
)

func limits(change func(*limit.Options)) gateway.Options {
	var o limit.Options
	change(&o)
	return gateway.Options{Limits: o}
}

func TestCategoriesAreCountedByPair(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.Categories.Value = 7 }))
	r.members.set("c1", "alice", true)
	r.members.set("c2", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	b.sub("status.c1.engine", "2")         // the same pair counts once
	b.sub("presence.c1", "3")              // presence is no category
	b.sub("status.c1.*", "4")              // all six of c1
	b.sub("status.c2.engine", "5")         // the seventh
	b.send("SUB status.c2.tool 6", "PING") // one too many
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c2.tool": this connection has 7 categories of 7: unsubscribe from one first'`)
	b.expect("PONG")
	b.send("UNSUB 5", "PING")
	b.expect("PONG")
	b.sub("status.c2.tool", "6")
	b.send("SUB status.c2.* 7", "PING")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c2.*": it covers 5 more categories, and this connection has 7 of 7`)
	b.expect("PONG")
	r.store("c2", "tool", "goes on")
	b.expectMsg("status.c2.tool 6")
}

func TestAWildcardGrowsWithTheConversation(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.Categories.Value = 7 }))
	r.members.set("c1", "alice", true)
	r.members.set("c2", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.*", "1")
	r.members.mu.Lock()
	r.members.categories = append(status.DefaultCategories(), "deploy")
	r.members.mu.Unlock()
	r.gateway.AccessChanged("c1")
	eventually(t, "the new category counts", func() bool {
		b.send("SUB _INBOX.a 9", "PUB gateway.subscriptions _INBOX.a 0", "", "UNSUB 9", "PING")
		used := listed(t, b).Limits["categories"].Used
		b.expect("PONG")
		return used == 7
	})
	b.send("SUB status.c2.engine 2", "PING")
	b.expect("-ERR")
	b.expect("PONG")
}

// listing is the answer of gateway.subscriptions.
type listing struct {
	Subscriptions []struct {
		Subject, SID string
		Delivered    int
	}
	Limits map[string]struct{ Limit, Used, Left int }
}

func listed(t *testing.T, b *browser) listing {
	t.Helper()
	_, body, _ := strings.Cut(b.expectMsg("_INBOX.a "), "\t")
	var l listing
	must(t, json.Unmarshal([]byte(body), &l))
	return l
}

func TestAConnectionListsWhatItHasAndWhatIsLeft(t *testing.T) {
	r := newRig(t, gateway.Options{Limits: limit.DefaultOptions()})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	b.sub("_INBOX.a", "2")
	r.store("c1", "engine", "one")
	b.expectMsg("status.c1.engine 1")
	b.send("PUB gateway.subscriptions _INBOX.a 0", "")
	l := listed(t, b)
	if len(l.Subscriptions) != 2 || l.Subscriptions[1].Subject != "status.c1.engine" || l.Subscriptions[1].Delivered != 1 {
		t.Fatalf("%+v", l.Subscriptions)
	}
	for name, want := range map[string][3]int{"categories": {10, 1, 9}, "subscriptions": {64, 2, 62}, "subscription_changes": {30, 1, 29}} {
		if got := l.Limits[name]; [3]int{got.Limit, got.Used, got.Left} != want {
			t.Errorf("%s: %+v, want %v", name, got, want)
		}
	}
}

func TestChangesAreCountedOverAllConnectionsOfAUser(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.SubscriptionChanges.Value = 4 }))
	r.members.set("c1", "alice", true)
	r.members.set("c1", "bob", true)
	a, b, other := r.login("alice"), r.login("alice/second"), r.login("bob")
	a.sub("status.c1.engine", "1")
	b.sub("status.c1.engine", "1")
	a.send("UNSUB 1", "PING") // a change as well
	a.expect("PONG")
	b.sub("status.c1.tool", "2")
	a.send("SUB status.c1.tool 2", "PING")
	a.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.tool": more than 4 subscription changes within a minute: try again in `)
	a.expect("PONG")
	a.sub("_INBOX.a", "3") // an inbox is none
	b.send("UNSUB 1", "PING")
	b.expect("PONG") // UNSUB always passes
	other.sub("status.c1.engine", "1")
}

func TestTheSameSetAfterAReconnectIsFree(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.SubscriptionChanges.Value = 2 }))
	r.members.set("c1", "alice", true)
	for range 5 {
		b := r.login("alice")
		b.sub("status.c1.engine", "1")
		b.sub("status.c1.tool", "2")
		_ = b.conn.Close()
		eventually(t, "the socket is gone", func() bool { return r.gateway.Stats().Sockets == 0 })
	}
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	b.send("SUB status.c1.info 2", "PING") // another one is not
	b.expect("-ERR")
	b.expect("PONG")
}

func TestTooManyOperationsEndTheSocketWithTheReason(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.Operations.Value = 20 }))
	b := r.login("alice")
	b.raw([]byte(strings.Repeat("PING\r\n", 200)))
	errs := b.expectClosed(1008)
	if len(errs) != 1 || errs[0] != "-ERR 'too many operations: at most 20 a second'" {
		t.Fatalf("got %q", errs)
	}
}

func TestACategoryThatComesWhileAWildcardIsAdmittedCounts(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	b.sub("_INBOX.a", "9")
	hold := make(chan struct{})
	r.callout.set(func(c *callout) { c.hold = hold })
	calls := r.callout.count()
	b.send("SUB status.c1.* 1", "PING")
	eventually(t, "the login is decided", func() bool { return r.callout.count() > calls })
	r.members.mu.Lock()
	r.members.categories = append(status.DefaultCategories(), "deploy")
	r.members.mu.Unlock()
	r.gateway.AccessChanged("c1")
	close(hold)
	b.expect("PONG")
	b.send("PUB gateway.subscriptions _INBOX.a 0", "")
	if got := listed(t, b).Limits["categories"].Used; got != 7 {
		t.Fatalf("%d categories are counted", got)
	}
}

func TestALimitInDryRunCountsAndLetsPass(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) {
		o.Categories = limit.Rule{Value: 1, DryRun: true}
		o.SubscriptionChanges = limit.Rule{Value: 1, DryRun: true}
		o.Operations = limit.Rule{Value: 1, DryRun: true}
	}))
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	for i, c := range []string{"engine", "tool", "info"} {
		b.sub("status.c1."+c, fmt.Sprint(i))
	}
	b.sub("_INBOX.a", "9")
	b.send("PUB gateway.subscriptions _INBOX.a 0", "")
	if got := listed(t, b).Limits["categories"]; got.Used != 3 || got.Limit != 1 {
		t.Fatalf("%+v", got)
	}
}

func TestAGrantMaySetOtherLimits(t *testing.T) {
	r := newRig(t, gateway.Options{Limits: limit.DefaultOptions()})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) {
		c.grant = func(_ string, claims *jwt.UserClaims) { claims.Tags = jwt.TagList{"categories:1", "changes:2"} }
	})
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	b.send("SUB status.c1.tool 2", "PING")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.tool": this connection has 1 categories of 1`)
	b.expect("PONG")
	b.send("UNSUB 1", "PING")
	b.expect("PONG")
	b.send("SUB status.c1.tool 2", "PING")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.tool": more than 2 subscription changes`)
	b.expect("PONG")
}

func TestARefusedSubCountsForNoLimit(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.SubscriptionChanges.Value, o.Categories.Value = 1, 1 }))
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	for range 5 {
		b.send("SUB status.c9.engine 1", "PING")
		b.expect("-ERR")
		b.expect("PONG")
	}
	b.sub("status.c1.engine", "1")
}

// attendance notes what presence is told.
type attendance struct {
	mu   sync.Mutex
	said []string
}

func (a *attendance) note(what string, c status.ConversationID, u status.UserID, n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, fmt.Sprintf("%s %s %s %d", what, c, u, n))
}

func (a *attendance) Join(c status.ConversationID, u status.UserID, n uint64) {
	a.note("join", c, u, n)
}
func (a *attendance) Leave(c status.ConversationID, u status.UserID, n uint64) {
	a.note("leave", c, u, n)
}

func (a *attendance) all() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.said, ", ")
}

func TestPresenceHearsOfTheFirstAndTheLastSubscription(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.members.set("c2", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	b.sub("presence.c1", "2")
	b.send("UNSUB 1", "PING")
	b.expect("PONG")
	b.sub("status.c2.engine", "3")
	b.send("UNSUB 2", "PING")
	b.expect("PONG")
	if got, want := r.attendance.all(), "join c1 alice 1, join c2 alice 1, leave c1 alice 1"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	_ = b.conn.Close()
	eventually(t, "the end is a leave", func() bool { return strings.HasSuffix(r.attendance.all(), ", leave c2 alice 1") })
}

func TestLostAccessIsALeave(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	b.expect("-ERR")
	eventually(t, "a leave", func() bool { return strings.HasSuffix(r.attendance.all(), "leave c1 alice 1") })
}
