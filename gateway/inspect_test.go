package gateway_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

func TestSessionsSayWhatEachConnectionHas(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.members.set("c2", "alice", true)
	begin := time.Now()
	r.dial() // says nothing: not logged in
	a := r.login("alice")
	b := r.login("bob")
	a.sub("status.c1.*", "1")
	a.sub("status.c2.info", "2")
	a.sub("_INBOX.x.*", "3")
	r.store("c1", "engine", "one")
	r.store("c1", "tool", "two")
	for range 2 {
		a.expectMsg("status.c1.")
	}
	all := r.gateway.Sessions(session.Filter{})
	if len(all) != 2 || all[0].ID >= all[1].ID {
		t.Fatalf("sessions are %+v", all)
	}
	list := r.gateway.Sessions(session.Filter{User: "alice"})
	if len(list) != 1 {
		t.Fatalf("alice's are %+v", list)
	}
	got := list[0]
	if got.User != "alice" || got.Address != "127.0.0.1" || got.Name != "b" || got.Lang != "test" || got.ConnectedAt.Before(begin) || got.ConnectedAt.After(time.Now()) {
		t.Errorf("alice's is %+v", got)
	}
	if time.Until(got.Expires) < 50*time.Minute || got.Delivered != 2 || got.QueueBytes != 0 || got.SubscriptionChanges != 2 {
		t.Errorf("its figures are %+v", got)
	}
	if !slices.Equal(got.Conversations, []status.ConversationID{"c1", "c2"}) || !slices.Equal(got.Subscriptions, []session.Subscription{
		{Subject: "_INBOX.x.*"}, {Subject: "status.c1.*", Delivered: 2}, {Subject: "status.c2.info"},
	}) {
		t.Errorf("it has %v and %+v", got.Conversations, got.Subscriptions)
	}
	if page := r.gateway.Sessions(session.Filter{After: all[0].ID, Limit: 5}); len(page) != 1 || page[0].ID != all[1].ID {
		t.Errorf("after the first there are %+v", page)
	}
	if page := r.gateway.Sessions(session.Filter{Limit: 1}); len(page) != 1 || page[0].ID != all[0].ID {
		t.Errorf("the first is %+v", page)
	}
	_ = b.conn.Close()
	eventually(t, "bob's connection is gone", func() bool { return len(r.gateway.Sessions(session.Filter{User: "bob"})) == 0 })
}

func TestUseCountsConnectionsByCategory(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.members.set("c1", "bob", true)
	r.members.set("c11", "bob", true)
	a, a2, b := r.login("alice"), r.login("alice"), r.login("bob")
	a.sub("status.c1.*", "1")
	a.sub("status.c1.engine", "2") // twice, counts once
	a2.sub("status.c1.engine", "1")
	a2.sub("presence.c1", "2")
	b.sub("status.c1.own", "1")
	b.sub("status.c11.engine", "2")
	use := r.gateway.ConversationUse("c1")
	if use.Connections != 3 || use.Users != 2 || use.Categories["engine"] != 2 || use.Categories["tool"] != 1 || use.Categories["own"] != 1 {
		t.Errorf("c1: %+v", use)
	}
	if use := r.gateway.ConversationUse("nope"); use.Connections != 0 || use.Users != 0 || len(use.Categories) != 0 {
		t.Errorf("nope: %+v", use)
	}
}

func TestAKickClosesPlainlyAndTheNextLoginIsDecidedAnew(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	a, a2, b := r.login("alice"), r.login("alice/phone"), r.login("bob")
	a.sub("status.c1.*", "1")
	before := r.callout.count()
	if n := r.gateway.Kick("alice", "please log in again", "operator"); n != 2 {
		t.Fatalf("kicked %d", n)
	}
	for _, kicked := range []*browser{a, a2} {
		if errs := kicked.expectClosed(ws.StatusGoingAway); len(errs) != 0 || kicked.why != "please log in again" {
			t.Fatalf("closed with %q after %q", kicked.why, errs)
		}
	}
	b.send("PING")
	b.expect("PONG")
	again := r.login("alice")
	if n := r.callout.count(); n != before+1 {
		t.Fatalf("the callout was asked %d times for the login after the kick", n-before)
	}
	again.sub("status.c1.*", "1")
	eventually(t, "what was kicked is gone", func() bool { return r.gateway.Stats().Sockets == 2 && r.gateway.Stats().Credentials == 2 })
	if n := r.gateway.Kick("nobody", "", "operator"); n != 0 {
		t.Errorf("kicked %d of nobody's", n)
	}
	if n := r.gateway.Kick("alice", strings.Repeat("ü", 100), "operator"); n != 1 {
		t.Errorf("kicked %d", n)
	}
	again.expectClosed(ws.StatusGoingAway)
	if again.why != strings.Repeat("ü", 61) {
		t.Errorf("a reason that is too long came as %q", again.why)
	}
	if n := r.gateway.Kick("bob", "", "operator"); n != 1 {
		t.Errorf("kicked %d", n)
	}
	b.expectClosed(ws.StatusGoingAway)
	if b.why != "connection ended by an operator: reconnect" {
		t.Errorf("without a reason bob is told %q", b.why)
	}
}

func TestAKickedGrantThatNoSocketHoldsIsForgotten(t *testing.T) {
	r := newRig(t, gateway.Options{})
	a := r.login("alice")
	_ = a.conn.Close()
	eventually(t, "alice is gone", func() bool { return r.gateway.Stats().Sockets == 0 })
	before := r.callout.count()
	r.gateway.Kick("alice", "", "operator")
	r.login("alice")
	if n := r.callout.count(); n != before+1 {
		t.Errorf("the callout was asked %d times", n-before)
	}
}

func TestTheRoundTripOfAPingIsTold(t *testing.T) {
	r := newRig(t, gateway.Options{PingInterval: 50 * time.Millisecond})
	b := r.login("alice")
	if rtt := r.gateway.Sessions(session.Filter{})[0].RTTMilliseconds; rtt != 0 {
		t.Errorf("before any ping it is %v ms", rtt)
	}
	h, err := ws.ReadHeader(b.in)
	must(t, err)
	if h.OpCode != ws.OpPing {
		t.Fatalf("got opcode %d", h.OpCode)
	}
	const late = 30 * time.Millisecond
	time.Sleep(late) // a slow answer
	must(t, ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewPongFrame(nil))))
	eventually(t, "the round trip is known", func() bool {
		rtt := r.gateway.Sessions(session.Filter{})[0].RTTMilliseconds
		return rtt >= float64(late.Milliseconds())
	})
}
