package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/status"
)

// many are conversations c0, c1, … of the user.
func (r *rig) many(user status.UserID, n int) {
	for i := range n {
		r.members.set(status.ConversationID(fmt.Sprintf("c%d", i)), user, true)
	}
}

// askPresence asks and returns the line that comes: the answer or a refusal.
func (b *browser) askPresence(conversation string) string {
	b.t.Helper()
	b.send("PUB edge."+conversation+".presence _INBOX.a 0", "")
	return b.line()
}

func grantChanges(n int) gateway.Options {
	return limits(func(o *limit.Options) { o.GrantChanges.Value = n })
}

// A user of 130 conversations who asks for the presence of one after the other had a
// login decided for each of the requests.
func TestAskingOverMoreConversationsThanAGrantHoldsIsBudgeted(t *testing.T) {
	const budget, conversations = 110, 130
	r := newRig(t, grantChanges(budget))
	r.answerJoin()
	r.many("alice", conversations)
	b := r.login("alice")
	other := r.login("alice/second") // the budget is the user's
	b.sub("_INBOX.a", "1")
	other.sub("_INBOX.a", "1")
	logins := r.callout.count()
	refused := 0
	for i := range 3 * conversations {
		from := b
		if i%2 == 1 {
			from = other
		}
		line := from.askPresence(fmt.Sprintf("c%d", i%conversations))
		if !strings.HasPrefix(line, "-ERR") {
			continue
		}
		refused++
		want := fmt.Sprintf(`-ERR 'Permissions Violation for Publish to "edge.c%d.presence": more than %d grant changes within a minute: try again in `, i%conversations, budget)
		if !strings.HasPrefix(line, want) {
			t.Fatalf("got %q, want %q", line, want)
		}
	}
	if n := r.callout.count() - logins; n != budget {
		t.Fatalf("%d login decisions, %d are allowed", n, budget)
	}
	if refused == 0 {
		t.Fatal("nothing was refused")
	}
}

func TestTheConversationUsedMostIsNotDecidedAnew(t *testing.T) {
	const others = 130
	r := newRig(t, gateway.Options{})
	r.answerJoin()
	r.many("alice", others)
	r.members.set("hot", "alice", true)
	b := r.login("alice")
	b.sub("_INBOX.a", "1")
	b.askPresence("hot")
	logins := r.callout.count()
	for i := range others {
		for _, c := range []string{fmt.Sprintf("c%d", i), "hot"} {
			if line := b.askPresence(c); !strings.Contains(line, "_INBOX.a") {
				t.Fatal(line)
			}
		}
	}
	if n := r.callout.count() - logins; n != others {
		t.Fatalf("%d login decisions for %d new conversations", n, others)
	}
	// The newest 99 are covered as well, the others not.
	for i := others - 1; i > others-100; i-- {
		b.askPresence(fmt.Sprintf("c%d", i))
	}
	if n := r.callout.count() - logins; n != others {
		t.Fatalf("%d login decisions after those that were used last", n)
	}
	b.askPresence("c0")
	if n := r.callout.count() - logins; n != others+1 {
		t.Fatalf("%d login decisions: the first one is still covered", n)
	}
}

func TestAConversationInUseIsNeverLeftOutOfTheGrant(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.many("alice", 130)
	history := make(chan *nats.Msg, 1)
	_, err := r.edge.ChanSubscribe("edge.c1.history.*", history)
	must(t, err)
	part := func(m *nats.Msg, text string) {
		p := nats.NewMsg(m.Reply)
		p.Header.Set(status.HeaderSequence, "1")
		p.Header.Set(status.HeaderSubject, "status.c1.engine")
		p.Data = []byte(text)
		must(t, m.RespondMsg(p))
	}
	_, err = r.edge.Subscribe("edge.*.presence.*", func(m *nats.Msg) { _ = m.Respond([]byte("present")) })
	must(t, err)
	must(t, r.edge.Flush())
	b := r.login("alice")
	b.sub("status.c0.*", "1")
	b.sub("_INBOX.a", "2")
	b.sub("_INBOX.h", "3")
	b.send("PUB edge.c1.history _INBOX.h 0", "")
	asked := <-history
	part(asked, "first")
	b.expectMsg("_INBOX.h 3")
	for i := 2; i < 130; i++ {
		if line := b.askPresence(fmt.Sprintf("c%d", i)); !strings.Contains(line, "present") {
			t.Fatal(line)
		}
	}
	r.store("c0", "engine", "still here")
	b.expectMsg("status.c0.engine 1")
	part(asked, "second")
	must(t, asked.Respond([]byte("end")))
	if line := b.expectMsg("_INBOX.h 3"); !strings.HasSuffix(line, "second") {
		t.Fatalf("the history has a hole: %q", line)
	}
}

func TestAGrantOfWhichAllIsInUseSaysSo(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.many("alice", 130)
	a, b := r.login("alice"), r.login("alice")
	for i := range 50 {
		a.sub(fmt.Sprintf("presence.c%d", i), fmt.Sprint(i))
		b.sub(fmt.Sprintf("status.c%d.engine", 50+i), fmt.Sprint(i))
	}
	a.send("SUB presence.c100 100", "PING")
	a.expect(`-ERR 'Permissions Violation for Subscription to "presence.c100": this login has subscriptions or requests in 100 conversations, which is its limit: unsubscribe from one first'`)
	a.expect("PONG")
	a.send("UNSUB 7", "SUB presence.c100 100", "PING")
	a.expect("PONG")
	b.send("SUB status.c7.engine 60", "PING") // it made room
	b.expect("-ERR")
	b.expect("PONG")
}

func TestPresenceSubscriptionsAreCountedAsChanges(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.SubscriptionChanges.Value = 3 }))
	r.many("alice", 5)
	b := r.login("alice")
	for i := range 3 {
		b.sub(fmt.Sprintf("presence.c%d", i), fmt.Sprint(i))
	}
	b.send("SUB presence.c3 3", "PING")
	b.expect(`-ERR 'Permissions Violation for Subscription to "presence.c3": more than 3 subscription changes within a minute: try again in `)
	b.expect("PONG")
	must(t, b.conn.Close())
	eventually(t, "the first socket has left", func() bool { return r.gateway.Stats().Sockets == 0 })
	b = r.login("alice")
	for i := range 3 { // free after a reconnect
		b.sub(fmt.Sprintf("presence.c%d", i), fmt.Sprint(i))
	}
}

func TestWhatIsRestoredAfterAReconnectIsNoChangeOfTheGrant(t *testing.T) {
	r := newRig(t, grantChanges(3))
	r.many("alice", 5)
	b := r.login("alice")
	for i := range 3 {
		b.sub(fmt.Sprintf("status.c%d.engine", i), fmt.Sprint(i))
	}
	must(t, b.conn.Close())
	eventually(t, "the first socket has left", func() bool { return r.gateway.Stats().Sockets == 0 })
	b = r.login("alice/fresh")
	for i := range 3 {
		b.sub(fmt.Sprintf("status.c%d.engine", i), fmt.Sprint(i))
	}
	b.send("SUB status.c3.engine 3", "PING")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c3.engine": more than 3 grant changes within a minute`)
	b.expect("PONG")
}

func TestFreshTokensAreChangesOfTheGrant(t *testing.T) {
	r := newRig(t, grantChanges(3))
	b := r.login("alice")
	b.sub("_INBOX.a", "1")
	hand := func(token string) string {
		b.send(fmt.Sprintf("PUB gateway.token _INBOX.a %d", len(token)), token)
		return b.expectMsg("_INBOX.a 1")
	}
	for i := range 3 {
		if line := hand(fmt.Sprintf("alice/%d", i)); !strings.Contains(line, `"expires"`) {
			t.Fatal(line)
		}
	}
	logins := r.callout.count()
	if line := hand("alice/3"); !strings.Contains(line, `"code":429`) || !strings.Contains(line, "more than 3 grant changes within a minute: try again in ") {
		t.Fatal(line)
	}
	if n := r.callout.count() - logins; n != 0 {
		t.Fatalf("%d login decisions for what was refused", n)
	}
	// A login that makes a grant grow is told when to come back, and not that it is denied.
	r.members.set("c1", "alice", true)
	late := r.dial()
	late.send(`CONNECT {"auth_token":"alice/2","user":"c1"}`, "PING")
	if errs := late.expectClosed(1013); len(errs) != 0 || !strings.Contains(late.why, "try again in") {
		t.Fatalf("%q, closed with %q", errs, late.why)
	}
}

func TestChangesOfTheGrantInDryRunAreCountedAndPass(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.GrantChanges = limit.Rule{Value: 1, DryRun: true} }))
	r.many("alice", 3)
	b := r.login("alice")
	for i := range 3 {
		b.sub(fmt.Sprintf("status.c%d.engine", i), fmt.Sprint(i))
	}
	b.sub("_INBOX.a", "9")
	b.send("PUB gateway.subscriptions _INBOX.a 0", "")
	if got := listed(t, b).Limits["grant_changes"]; got.Limit != 1 || got.Used < 1 || got.Left != 0 {
		t.Fatalf("%+v", got)
	}
}
