//go:build e2e

package test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestRefusalsFindTheirSubscriptionInNatsGo is about nats.go over WebSocket: the
// subscription that a refusal names gets it, the others go on.
func TestRefusalsFindTheirSubscriptionInNatsGo(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice", "--category", "build", "--category", "deploy")
	s.run(t, "conversation", "create", "c2", "--owner", "bob", "--member", "alice")
	s.run(t, "conversation", "create", "c3", "--owner", "bob")
	token := s.run(t, "token", "--user", "alice")
	nc, err := nats.Connect(s.WS, nats.Token(token), nats.PermissionErrOnSubscribe(true), nats.MaxReconnects(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	subscribe := func(subject, queue string) *nats.Subscription {
		t.Helper()
		sub, err := nc.QueueSubscribeSync(subject, queue)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		return sub
	}
	refused := func(sub *nats.Subscription, reason string) {
		t.Helper()
		_, err := sub.NextMsg(5 * time.Second)
		if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `Subscription to "`+sub.Subject+`"`) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v, want %q", sub.Subject, err, reason)
		}
	}
	kept := subscribe("status.c1.*", "")
	inQueue := subscribe("status.c2.engine", "tabs")
	subscribe("status.c2.tool", "")
	refused(subscribe("status.c3.engine", ""), `conversation "c3" is not found or not yours`)
	refused(subscribe("status.c2.info", ""), "this connection has 10 categories of 10: unsubscribe from one first")
	refused(subscribe("status.c2.*", ""), "it covers 4 more categories, and this connection has 10 of 10")
	refused(subscribe("status.c1.X", ""), "this is no category")
	s.run(t, "conversation", "remove", "c2", "--member", "alice")
	refused(inQueue, `your access to conversation "c2" has ended`)

	if _, err := serviceJetStream(t, s).Publish("status.c1.deploy", []byte(`{"text":"still"}`)); err != nil {
		t.Fatal(err)
	}
	if m, err := kept.NextMsg(5 * time.Second); err != nil || !strings.Contains(string(m.Data), "still") {
		t.Errorf("what goes on got %v, %v", m, err)
	}
	if !nc.IsConnected() {
		t.Error("the connection is gone")
	}
}
