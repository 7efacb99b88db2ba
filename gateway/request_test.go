package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/gateway"
)

func TestARequestCarriesTheUserAndTheAnswerStaysInTheSocket(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice@example.com", true)
	r.members.set("c1", "bob", true)
	r.answerJoin()
	a, b := r.login("alice@example.com"), r.login("bob")
	// Both listen to the same inbox, and bob to every inbox there is.
	a.sub("_INBOX.same.*", "1")
	b.sub("_INBOX.same.*", "1")
	b.sub("_INBOX.>", "2")
	a.send("PUB edge.c1.join _INBOX.same.7 0", "")
	if got := a.expectMsg("_INBOX.same.7 1 "); !strings.HasSuffix(got, "\talice=40example=2Ecom") {
		t.Fatalf("got %q", got)
	}
	b.send("PING")
	b.expect("PONG")
	b.send("PUB edge.c1.join _INBOX.same.7 0", "")
	b.expectMsg("_INBOX.same.7 ")
	b.expectMsg("_INBOX.same.7 ") // both of bob's subscriptions match
}

func TestARequestIsAJoinToo(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.answerJoin()
	b := r.login("alice")
	b.send("SUB _INBOX.a 1", "PUB edge.c1.join _INBOX.a 0", "")
	b.expectMsg("_INBOX.a 1 5\talice")
	b.send("PUB edge.c2.join _INBOX.a 0", "")
	b.expect(`-ERR 'Permissions Violation for Publish to "edge.c2.join": conversation "c2" is not found or not yours'`)
}

func TestABrowserPublishesNothingButRequests(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	heard := make(chan string, 100)
	_, err := r.ingest.Subscribe("submit.*.*", func(m *nats.Msg) { heard <- m.Subject })
	must(t, err)
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	for _, subject := range []string{
		"status.c1.engine", "submit.c1.engine", "ingest.c1.engine", "presence.c1", "admin.conversation.delete",
		"edge.c1.join.bob", "edge.c1.other", "edge.*.join", "edge.>", "edge", "_INBOX.someone", "$JS.API.INFO", "$SYS.REQ.USER.INFO",
		"$KV.directory.c1", "audit.x", "gateway.other", "a..b", ".", "_R_.x", "_GR_.x",
	} {
		b.send("PUB "+subject+" 2", "{}")
		b.expect(fmt.Sprintf("-ERR 'Permissions Violation for Publish to %q", subject))
	}
	b.send("PING")
	b.expect("PONG")
	must(t, r.ingest.Flush())
	if len(heard) > 0 {
		t.Fatalf("a service heard %q", <-heard)
	}
}

func TestNobodyThereIsToldToThoseWhoWant(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.dial()
	b.connect(map[string]any{"auth_token": "alice"})
	b.send("SUB _INBOX.a 1", "PUB edge.c1.join _INBOX.a 0", "")
	if got := b.expect("HMSG _INBOX.a 1 "); !strings.Contains(got, "NATS/1.0 503") {
		t.Fatalf("got %q", got)
	}
	plain := r.dial()
	plain.connect(map[string]any{"auth_token": "alice", "no_responders": false})
	plain.send("SUB _INBOX.a 1", "PUB edge.c1.join _INBOX.a 0", "", "PING")
	plain.expect("PONG")
}

func TestRequestsWithoutAnAnswerAreBounded(t *testing.T) {
	r := newRig(t, gateway.Options{MaxRequests: 2, RequestTimeout: 100 * time.Millisecond})
	r.members.set("c1", "alice", true)
	_, err := r.edge.Subscribe("edge.*.*.*", func(*nats.Msg) {}) // never answers
	must(t, err)
	must(t, r.edge.Flush())
	b := r.login("alice")
	b.send("SUB _INBOX.a 1", "PUB edge.c1.join _INBOX.a 0", "", "PUB edge.c1.join _INBOX.a 0", "", "PUB edge.c1.join _INBOX.a 0", "")
	b.expect(`-ERR 'Permissions Violation for Publish to "edge.c1.join": 2 requests wait`)
	eventually(t, "the old ones are given up", func() bool {
		b.send("PUB edge.c1.join _INBOX.a 0", "", "PING")
		line := b.line()
		if line == "PONG" {
			return true
		}
		b.expect("PONG")
		return false
	})
}

func TestAGrantMayLowerThePayload(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) { c.grant = func(_ string, claims *jwt.UserClaims) { claims.NatsLimits.Payload = 10 } })
	r.answerJoin()
	b := r.login("alice")
	b.send("SUB _INBOX.a 1", "PUB edge.c1.join _INBOX.a 10", strings.Repeat("x", 10))
	b.expectMsg("_INBOX.a 1")
	b.send("PUB edge.c1.join _INBOX.a 11", strings.Repeat("x", 11))
	if errs := b.expectClosed(1009); len(errs) != 1 || errs[0] != "-ERR 'Maximum Payload Violation: at most 10 bytes'" {
		t.Fatalf("got %q", errs)
	}
}

func TestAPayloadAboveTheLimitEndsTheSocketWithTheReason(t *testing.T) {
	r := newRig(t, gateway.Options{MaxPayloadBytes: 100})
	b := r.login("alice")
	b.send("PUB edge.c1.join 101", strings.Repeat("x", 101))
	errs := b.expectClosed(1009)
	if len(errs) != 1 || errs[0] != "-ERR 'Maximum Payload Violation: at most 100 bytes'" {
		t.Fatalf("got %q", errs)
	}
}
