package gateway_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/session"
)

func TestSubIsTheJoin(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	b.sub("presence.c1", "2")
	r.store("c1", "engine", "hello")
	b.expectMsg("status.c1.engine 1 ")
	r.store("c1", "tool", "not subscribed")
	r.store("c1", "engine", "again")
	if got := b.expectMsg("status.c1.engine 1 "); !strings.Contains(got, "again") {
		t.Fatalf("got %q", got)
	}
}

func TestDeliveredHeadersAreWhatABrowserNeeds(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.dial()
	b.connect(map[string]any{"auth_token": "alice", "headers": true})
	b.sub("status.c1.engine", "1")
	r.store("c1", "engine", "one")
	r.store("c1", "engine", "two")
	b.expect("HMSG status.c1.engine 1 ")
	got := b.expect("HMSG status.c1.engine 1 ")
	for _, want := range []string{"Nats-Sequence: 2\r\n", "Nats-Last-Sequence: 1\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	for _, leave := range []string{"Nats-Stream", "Nats-Subject", "Nats-Time-Stamp"} {
		if strings.Contains(got, leave) {
			t.Errorf("%q in %q", leave, got)
		}
	}
}

func TestRefusedSubsNameTheSubscriptionAndLeaveTheRest(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.members.set("c2", "bob", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	tests := []struct{ name, sub, want string }{
		{"a stranger's conversation", "status.c2.engine 2", `-ERR 'Permissions Violation for Subscription to "status.c2.engine": conversation "c2" is not found or not yours'`},
		{"one that does not exist", "status.c3.engine 2", `-ERR 'Permissions Violation for Subscription to "status.c3.engine": conversation "c3" is not found or not yours'`},
		{"in a queue group", "status.c2.engine q 2", `-ERR 'Permissions Violation for Subscription to "status.c2.engine" using queue "q": conversation "c2" is not found or not yours'`},
		{"all conversations", "status.*.engine 2", `-ERR 'Permissions Violation for Subscription to "status.*.engine"'`},
		{"everything", "> 2", `-ERR 'Permissions Violation for Subscription to ">"'`},
		{"system events", "$SYS.> 2", `-ERR 'Permissions Violation for Subscription to "$SYS.>"'`},
		{"the server's own queue group", "status.c1.engine _sys_ 2", `-ERR 'Permissions Violation for Subscription to "status.c1.engine" using queue "_sys_"'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.send("SUB " + tt.sub)
			if got := b.line(); got != tt.want {
				t.Fatalf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	r.store("c1", "engine", "still here")
	b.expectMsg("status.c1.engine 1")
	if got := r.callout.count(); got != 2 {
		t.Fatalf("%d callouts: a stranger's conversation costs none", got)
	}
}

func TestUnsubStopsAtOnceAndAfterItsMaximum(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	b.send("UNSUB 1", "UNSUB 99", "PING")
	b.expect("PONG")
	r.store("c1", "engine", "nobody")
	b.sub("status.c1.engine", "2")
	b.send("UNSUB 2 2", "PING")
	b.expect("PONG")
	for i := range 4 {
		r.store("c1", "engine", fmt.Sprint(i))
	}
	b.expectMsg("status.c1.engine 2")
	b.expectMsg("status.c1.engine 2")
	b.send("PING")
	b.expect("PONG")
	eventually(t, "no topic is left", func() bool { return r.fanout.Stats().Topics == 0 })
}

func TestASidIsTakenOnce(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	b.sub("status.c1.tool", "1") // as nats-server: the first one stays
	r.store("c1", "tool", "x")
	r.store("c1", "engine", "y")
	b.expectMsg("status.c1.engine 1")
}

func TestSubscriptionsAreBoundedByTheGrant(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) { c.grant = func(_ string, claims *jwt.UserClaims) { claims.Subs = 2 } })
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	b.sub("_INBOX.a.*", "2")
	b.send("SUB status.c1.tool 3")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.tool": this connection has 2 subscriptions`)
	b.send("UNSUB 1")
	b.sub("status.c1.tool", "4")
}

func TestADirectoryThatFailsRefusesForNow(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	r.members.mu.Lock()
	r.members.err = errors.New("down")
	r.members.mu.Unlock()
	b.send("SUB status.c1.engine 1")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.engine": the service is not available just now: try again'`)
}

func TestLostAccessEndsItsSubscriptionsAndNothingElse(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.members.set("c2", "alice", true)
	b, second := r.login("alice"), r.login("alice")
	b.sub("status.c1.engine", "1")
	b.sub("status.c2.engine", "2")
	second.sub("status.c1.*", "1")
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.engine": your access to conversation "c1" has ended'`)
	second.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.*": your access to conversation "c1" has ended'`)
	r.store("c1", "engine", "secret")
	r.store("c2", "engine", "goes on")
	b.expectMsg("status.c2.engine 2")
	b.send("SUB status.c1.engine 3")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.engine": conversation "c1" is not found or not yours'`)
	// And it comes back.
	r.members.set("c1", "alice", true)
	r.gateway.AccessChanged("c1")
	b.sub("status.c1.engine", "4")
}

func TestLostAccessThatCannotBeReadAgainClosesTheSocket(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	r.callout.set(func(c *callout) { c.deny = func(string) *session.Denial { return &session.Denial{Reason: "down"} } })
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	if errs := b.expectClosed(1001); len(errs) > 0 {
		t.Fatalf("an -ERR would make clients give up: %q", errs)
	}
}

func TestAGrantWithoutASocketIsForgottenWhenAccessChanges(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	_ = b.conn.Close()
	eventually(t, "the socket is gone", func() bool { return r.gateway.Stats().Sockets == 0 })
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	eventually(t, "the grant is gone", func() bool { return r.gateway.Stats().Credentials == 0 })
	again := r.login("alice")
	again.send("SUB status.c1.engine 1")
	again.expect("-ERR")
}

func TestAMemberThatReachesItsMaximumTakesNothingFromItsQueueGroup(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	a, b := r.login("alice"), r.login("alice")
	b.send("SUB status.c1.engine q 1", "PING")
	b.expect("PONG")
	const each, rounds = 30, 3
	for n := range rounds {
		sid := fmt.Sprint(n)
		a.send("SUB status.c1.* q "+sid, "UNSUB "+sid+" 2", "PING")
		a.expect("PONG")
		for i := range each { // nats-server gives about half of them to each pattern
			r.store("c1", "engine", fmt.Sprint(i))
		}
		a.expectMsg("status.c1.engine " + sid)
		a.expectMsg("status.c1.engine " + sid)
		for range each - 2 {
			b.expectMsg("status.c1.engine 1")
		}
	}
	a.send("PING")
	a.expect("PONG")
}

func TestQueueGroupsShareOneMessage(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	a, b := r.login("alice"), r.login("alice")
	a.send("SUB status.c1.engine q 1", "PING")
	a.expect("PONG")
	b.send("SUB status.c1.engine q 1", "PING")
	b.expect("PONG")
	r.store("c1", "engine", "one")
	r.store("c1", "engine", "two")
	a.expectMsg("")
	b.expectMsg("")
}

func TestAMillionSidsCannotBeHeld(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	for i := range 64 {
		b.send(fmt.Sprintf("SUB _INBOX.x %d", i))
	}
	b.send("SUB _INBOX.x 64")
	b.expect("-ERR 'Permissions Violation for Subscription to \"_INBOX.x\": this connection has 64 subscriptions")
}

func TestAUserWhoseAccessChangesAllTheTimeIsThrottled(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.members.set("c1", "bob", true)
	a, b := r.login("alice"), r.login("bob")
	b.sub("status.c1.engine", "1")
	a.sub("status.c1.engine", "1")
	before, began := r.callout.count(), time.Now()
	for range 300 {
		r.members.set("c1", "alice", false)
		r.gateway.AccessChanged("c1")
		r.members.set("c1", "alice", true)
		r.gateway.AccessChanged("c1")
		time.Sleep(time.Millisecond) // the pace of the changes, not a wait for anything
	}
	// One at once, then one for every quarter of a second, and none for bob.
	most := 2 + int(time.Since(began)/(250*time.Millisecond))
	if got := r.callout.count() - before; got > most {
		t.Fatalf("%d callouts in %v, want at most %d", got, time.Since(began), most)
	}
	r.members.set("c1", "alice", false)
	lost := time.Now()
	r.gateway.AccessChanged("c1")
	for { // she may have lost and joined it before
		a.send("SUB status.c1.engine 9", "PING")
		if line := a.line(); strings.HasPrefix(line, "-ERR") {
			break
		}
		if time.Since(lost) > patience {
			t.Fatal("access was lost and goes on")
		}
	}
	r.store("c1", "engine", "for bob")
	b.expectMsg("status.c1.engine 1")
}
