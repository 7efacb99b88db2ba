package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/internal/session"
)

// tabName is a unique id, as a page makes one for each tab.
const tabName = "0b0a5ac8-8d3b-4b0e-9a0f-2b5a3a6f2c11"

func newResumeRig(t testing.TB) *rig {
	t.Helper()
	r := newRig(t, gateway.Options{ReceiptInterval: 20 * time.Millisecond})
	r.members.set("c1", "alice", true)
	r.members.set("c1", "bob", true)
	return r
}

// tab logs in with the name.
func (r *rig) tab(token, name string) *browser {
	r.t.Helper()
	b := r.dial()
	b.connect(map[string]any{"auth_token": token, "name": name})
	return b
}

// cut ends the connection without a word, and waits until the gateway has seen it.
func (r *rig) cut(b *browser) {
	r.t.Helper()
	open := r.gateway.Stats().Sockets
	must(r.t, b.conn.(*net.TCPConn).SetLinger(0))
	must(r.t, b.conn.Close())
	eventually(r.t, "the gateway has seen the cut", func() bool { return r.gateway.Stats().Sockets < open })
}

// storeAll stores statuses with the texts.
func (r *rig) storeAll(category string, texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		r.store("c1", category, text)
	}
}

// expectTexts reads messages with the texts in this order, and nothing else but PINGs.
func (b *browser) expectTexts(sid string, texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		line := b.line()
		for line == "PING" {
			line = b.line()
		}
		if fields := strings.Fields(line); len(fields) < 3 || fields[2] != sid || !strings.HasSuffix(line, fmt.Sprintf(`{"text":%q}`, text)) {
			b.t.Fatalf("got %.300q (closed %d %q), want %q for %s", line, b.code, b.why, text, sid)
		}
	}
}

// receipt answers the PING that comes, and waits until that took effect.
func (b *browser) receipt() {
	b.t.Helper()
	b.expect("PING")
	b.confirm()
}

// confirm answers a PING, and waits until that took effect.
func (b *browser) confirm() {
	b.t.Helper()
	b.send("PONG", "PING")
	b.expect("PONG")
}

// expectNothing holds that all that came before now is nothing.
func (b *browser) expectNothing() {
	b.t.Helper()
	b.send("PING")
	b.expect("PONG")
}

func TestANewSocketOfTheSameNameGoesOnFromTheLastReceipt(t *testing.T) {
	r := newResumeRig(t)
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	r.storeAll("engine", "1", "2")
	b.expectTexts("1", "1", "2")
	b.receipt()
	r.storeAll("engine", "3")
	b.expectTexts("1", "3")
	b.expect("PING") // is not answered
	r.cut(b)
	r.storeAll("engine", "4", "5")

	b = r.tab("alice", tabName)
	b.send("SUB status.c1.engine 7")
	b.expectTexts("7", "3", "4", "5")
	r.storeAll("engine", "6")
	b.expectTexts("7", "6")
	eventually(t, "one is resumed", func() bool { return r.gateway.Stats().Resumed == 1 })
}

func TestAReceiptDoesNotConfirmWhatWasWrittenBehindThePing(t *testing.T) {
	r := newResumeRig(t)
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	r.storeAll("engine", "1")
	b.expectTexts("1", "1")
	b.expect("PING")
	r.storeAll("engine", "2")
	b.expectTexts("1", "2")
	b.confirm() // of what came before the PING
	r.cut(b)
	b = r.tab("alice", tabName)
	b.send("SUB status.c1.engine 1")
	b.expectTexts("1", "2")
}

func TestWithoutAReceiptEverythingSinceTheSubscriptionComesAgain(t *testing.T) {
	r := newResumeRig(t)
	r.storeAll("engine", "before")
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	b.send("PONG") // nobody asked for it
	r.storeAll("engine", "1")
	b.expectTexts("1", "1")
	r.cut(b)
	r.storeAll("engine", "2")
	b = r.tab("alice", tabName)
	b.send("SUB status.c1.engine 1")
	b.expectTexts("1", "1", "2")
}

func TestWhatWasPublishedWhileAwayComesToOneThatHadNothingYet(t *testing.T) {
	r := newResumeRig(t)
	r.storeAll("engine", "before")
	b := r.tab("alice", tabName)
	b.sub("status.c1.*", "1")
	r.cut(b)
	r.storeAll("engine", "1")
	r.storeAll("tool", "2")
	r.storeAll("engine", "3")
	b = r.tab("alice", tabName)
	r.cut(b) // before it had subscribed
	b = r.tab("alice", tabName)
	b.send("SUB status.c1.* 1")
	b.expectTexts("1", "1", "2", "3")
}

func TestOnlyTheSameUserNameAndSubjectGoOn(t *testing.T) {
	r := newResumeRig(t)
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	short := r.tab("alice", "my application")
	short.sub("status.c1.engine", "1")
	r.storeAll("engine", "1")
	b.expectTexts("1", "1")
	short.expectTexts("1", "1")
	b.receipt() // the other one was passed over
	r.cut(b)
	r.cut(short)
	r.storeAll("engine", "2")

	for _, c := range []struct{ user, name, subject string }{
		{"bob", tabName, "status.c1.engine"},
		{"alice", tabName[1:] + "0", "status.c1.engine"},
		{"alice", "my application", "status.c1.engine"},
		{"alice", tabName, "status.c1.*"},
		{"alice", tabName, "status.c1.engine q"},
	} {
		other := r.tab(c.user, c.name)
		other.sub(c.subject, "1")
		other.expectNothing()
		r.cut(other)
	}
	if got := r.gateway.Stats().Resumed; got != 0 {
		t.Fatalf("%d resumed", got)
	}
}

func TestAPingIsSentOnlyWhenThereIsSomethingToConfirm(t *testing.T) {
	r := newResumeRig(t)
	clock := r.tab("bob", tabName)
	clock.sub("status.c1.tool", "1")
	idle, deaf := r.tab("alice", tabName), r.tab("alice", "another-"+tabName)
	idle.sub("status.c1.engine", "1")
	deaf.sub("status.c1.engine", "1")
	r.storeAll("engine", "1")
	idle.expectTexts("1", "1")
	idle.receipt()
	deaf.expectTexts("1", "1")
	deaf.expect("PING")
	r.storeAll("engine", "2")
	idle.expectTexts("1", "2")
	idle.receipt()
	for i := range 3 { // the clock has gone round thrice
		r.storeAll("tool", fmt.Sprint(i))
		clock.expectTexts("1", fmt.Sprint(i))
		clock.receipt()
	}
	idle.expectNothing()
	deaf.expectTexts("1", "2")
	deaf.expectNothing() // its first PING is unanswered
	deaf.confirm()
	deaf.receipt()
}

func TestAnEndedSubscriptionIsForgotten(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(r *rig, b *browser)
	}{
		{"by UNSUB", func(_ *rig, b *browser) { b.send("UNSUB 1") }},
		{"by UNSUB with a maximum", func(r *rig, b *browser) {
			b.send("UNSUB 1 2", "PING")
			b.expect("PONG")
			r.storeAll("engine", "2")
			b.expectTexts("1", "2")
			eventually(r.t, "it has ended behind the last one", func() bool {
				return len(r.gateway.Sessions(session.Filter{})[0].Subscriptions) == 0
			})
		}},
		{"by the loss of access", func(r *rig, b *browser) {
			r.members.set("c1", "alice", false)
			r.gateway.AccessChanged("c1")
			b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.engine"`)
			b.send("SUB status.c1.engine 1", "PING")
			b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.engine"`)
			b.expect("PONG")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newResumeRig(t)
			b := r.tab("alice", tabName)
			b.sub("status.c1.engine", "1")
			r.storeAll("engine", "1")
			b.expectTexts("1", "1")
			b.receipt()
			c.end(r, b)
			b.expectNothingButPings()
			r.cut(b)
			r.storeAll("engine", "3")
			r.members.set("c1", "alice", true)
			b = r.tab("alice", tabName)
			b.sub("status.c1.engine", "1")
			b.expectNothing()
			r.storeAll("engine", "4")
			b.expectTexts("1", "4")
		})
	}
}

// expectNothingButPings returns when all before took effect.
func (b *browser) expectNothingButPings() {
	b.t.Helper()
	b.send("PING")
	line := b.line()
	for line == "PING" {
		line = b.line()
	}
	if line != "PONG" {
		b.t.Fatalf("got %q", line)
	}
}

func TestASubjectThatWasLostIsRefusedAndNotReplayed(t *testing.T) {
	r := newResumeRig(t)
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	r.cut(b)
	r.storeAll("engine", "1")
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	eventually(t, "the grant is gone", func() bool { return r.gateway.Stats().Credentials == 0 })
	b = r.tab("alice", tabName)
	b.send("SUB status.c1.engine 1", "PING")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.engine": conversation "c1" is not found or not yours`)
	b.expect("PONG")
	b.expectNothing()
}

func TestTwoSubscriptionsOfOneSubjectBothGoOn(t *testing.T) {
	r := newResumeRig(t)
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	r.storeAll("engine", "1")
	b.expectTexts("1", "1")
	b.expect("PING")
	b.sub("status.c1.engine", "2") // begins behind the first status
	b.confirm()
	r.cut(b)
	r.storeAll("engine", "2")

	b = r.tab("alice", tabName)
	b.send("SUB status.c1.engine 1")
	b.expectTexts("1", "2")
	b.send("SUB status.c1.engine 2")
	b.expectTexts("2", "2")
	b.send("SUB status.c1.engine 3") // there were two
	b.expectNothingButPings()
	r.storeAll("engine", "3")
	got := []string{b.next(), b.next(), b.next()}
	slices.Sort(got)
	for i, line := range got {
		if !strings.Contains(line, fmt.Sprintf("MSG status.c1.engine %d ", i+1)) {
			t.Fatalf("got %q", got)
		}
	}
}

// next returns the next line that is no PING.
func (b *browser) next() string {
	b.t.Helper()
	for {
		if line := b.line(); line != "PING" {
			return line
		}
	}
}

func TestASocketWhoseEndWasNotSeenIsNotWaitedForAndNotClosed(t *testing.T) {
	r := newResumeRig(t)
	old := r.tab("alice", tabName)
	old.sub("status.c1.engine", "1")
	r.storeAll("engine", "1")
	old.expectTexts("1", "1")
	old.receipt()
	r.storeAll("engine", "2") // on its way to nobody

	b := r.tab("alice", tabName)
	b.send("SUB status.c1.engine 1")
	b.expectTexts("1", "2")
	r.storeAll("engine", "3")
	b.expectTexts("1", "3")
	// It was a duplicated tab.
	old.expectTexts("1", "2", "3")
}

func TestASubscriptionWhoseReplayFailsIsToldAndMayTryAgain(t *testing.T) {
	r := newResumeRig(t)
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	r.cut(b)
	r.storeAll("engine", "1")
	r.reads.fail(errors.New("the stream is away"))
	b = r.tab("alice", tabName)
	b.send("SUB status.c1.engine 1")
	if line := b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.engine": `); !strings.Contains(line, "subscribe again") {
		t.Fatalf("got %q", line)
	}
	eventually(t, "it is no subscription any more", func() bool { return r.fanout.Stats().Topics == 0 })
	r.reads.fail(nil)
	b.send("SUB status.c1.engine 1")
	b.expectTexts("1", "1")
}

func TestTheFirstStatusBehindAGapSaysWhereItBegins(t *testing.T) {
	r := newResumeRig(t)
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	r.storeAll("engine", "1")
	b.expectTexts("1", "1")
	b.receipt()
	r.cut(b)
	r.storeAll("engine", "2", "3", "4")
	r.purge(4)
	b = r.tab("alice", tabName)
	b.send("SUB status.c1.engine 1")
	if line := b.next(); !strings.Contains(line, "Status-Truncated: 4\r\n") || !strings.Contains(line, "Nats-Sequence: 4\r\n") {
		t.Fatalf("got %q", line)
	}
	r.storeAll("engine", "5")
	if line := b.next(); strings.Contains(line, "Status-Truncated") || !strings.Contains(line, "Nats-Sequence: 5\r\n") {
		t.Fatalf("got %q", line)
	}
}

func TestRestoringASetIsStillFree(t *testing.T) {
	r := newRig(t, gateway.Options{
		ReceiptInterval: 20 * time.Millisecond,
		Limits:          limit.Options{SubscriptionChanges: limit.Rule{Value: 2}},
	})
	r.members.set("c1", "alice", true)
	for range 3 {
		b := r.tab("alice", tabName)
		b.sub("status.c1.engine", "1")
		b.sub("status.c1.tool", "2")
		r.cut(b)
	}
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	b.sub("status.c1.tool", "2")
	b.send("SUB status.c1.info 3")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.info": more than 2 subscription changes`)
}

func TestAfterStopTheMarksAreAway(t *testing.T) {
	r := newResumeRig(t)
	b := r.tab("alice", tabName)
	b.sub("status.c1.engine", "1")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, r.gateway.Stop(ctx))
	if st := r.marks.Stats(); st.Keys != 1 || st.Away != 1 {
		t.Fatalf("%+v", st)
	}
}

func TestOverManyCutsNothingIsLostAndOrderIsKept(t *testing.T) {
	const statuses = 500
	r := newResumeRig(t)
	b := r.tab("alice", tabName)
	b.sub("status.c1.*", "1")
	var publishing sync.WaitGroup
	publishing.Go(func() {
		categories := []string{"engine", "tool", "info"}
		for i := range statuses {
			r.store("c1", categories[i%len(categories)], fmt.Sprint(i))
		}
	})
	defer publishing.Wait()

	had := map[int]bool{} // by sequence
	cuts := 0
	for ; len(had) < statuses; cuts++ {
		if cuts > 0 {
			b = r.tab("alice", tabName)
			b.send("SUB status.c1.* 1")
		}
		newest := map[string]int{} // by subject
		confirms, least := rand.IntN(3) > 0, rand.IntN(60)
		for n := 0; n < least || confirms; {
			line := b.line()
			if line == "PING" {
				if confirms {
					b.send("PONG")
					confirms = false
				}
				if len(had) == statuses {
					break
				}
				continue
			}
			subject, seq := place(t, line)
			if seq <= newest[subject] {
				t.Fatalf("%s: %d comes after %d", subject, seq, newest[subject])
			}
			newest[subject], had[seq] = seq, true
			if n++; len(had) == statuses {
				break
			}
		}
		_ = b.conn.Close() // the gateway may see it before the next one comes, or not
	}
	t.Logf("%d statuses over %d cuts", len(had), cuts)
}

// place is the subject and the sequence of a message.
func place(t testing.TB, line string) (subject string, seq int) {
	t.Helper()
	fields := strings.Fields(line)
	_, rest, ok := strings.Cut(line, "Nats-Sequence: ")
	if !ok {
		t.Fatalf("no sequence in %q", line)
	}
	_, err := fmt.Sscan(rest, &seq)
	must(t, err)
	return fields[1], seq
}

func TestAGapBeforeAStatusThatIsDeniedIsToldByTheNextOne(t *testing.T) {
	r := newResumeRig(t)
	r.callout.set(func(c *callout) {
		c.grant = func(_ string, claims *jwt.UserClaims) { claims.Sub.Deny.Add("status.c1.secret") }
	})
	b := r.tab("alice", tabName)
	b.sub("status.c1.*", "1")
	r.storeAll("engine", "1")
	b.expectTexts("1", "1")
	b.receipt()
	r.cut(b)
	r.storeAll("engine", "2", "3")
	r.storeAll("secret", "4")
	r.storeAll("engine", "5", "6")
	r.purge(4)
	b = r.tab("alice", tabName)
	b.send("SUB status.c1.* 1")
	if line := b.next(); !strings.Contains(line, "Status-Truncated: 4\r\n") || !strings.Contains(line, "Nats-Sequence: 5\r\n") {
		t.Fatalf("got %q", line)
	}
	if line := b.next(); strings.Contains(line, "Status-Truncated") || !strings.Contains(line, "Nats-Sequence: 6\r\n") {
		t.Fatalf("got %q", line)
	}
}

// A restart had each browser decided twice: at the login, and at its first SUB.
func TestAResumedBrowserIsDecidedOnce(t *testing.T) {
	r, _ := newScreened(t, gateway.Options{ReceiptInterval: 20 * time.Millisecond})
	r.members.set("c1", "alice", true)
	r.members.set("c2", "alice", true)
	b := r.tab("alice/first", tabName)
	b.sub("status.c1.engine", "1")
	b.sub("status.c2.engine", "2")
	r.cut(b)
	calls := r.callout.count()
	r.members.set("c2", "alice", false) // what is hers no more is left out
	b = r.tab("alice/second", tabName)  // nothing is held for this token
	b.sub("status.c1.engine", "1")
	if got := r.callout.count() - calls; got != 1 {
		t.Errorf("%d verdicts", got)
	}
	b.send("SUB status.c2.engine 2")
	if got := b.expect("-ERR"); !strings.Contains(got, "not found or not yours") {
		t.Errorf("got %s", got)
	}
	// Another user of that name has nothing of it, and a stranger's name tells nothing.
	calls = r.callout.count()
	r.members.set("c1", "bob", true)
	r.tab("bob", tabName).sub("status.c1.engine", "1")
	if got := r.callout.count() - calls; got != 2 {
		t.Errorf("%d verdicts for bob, want one for the login and one for the SUB", got)
	}
}

func TestMoreMarksThanAGrantHoldsAreNoHindrance(t *testing.T) {
	r, _ := newScreened(t, gateway.Options{})
	r.many("alice", 120)
	k := mark.Key{User: "alice", Name: tabName}
	h := r.marks.Open(k)
	for i := range 120 {
		h.Set(map[string]mark.Mark{fmt.Sprintf("status.c%d.engine", i): {Place: mark.Place{After: 1}, Subscriptions: 1}})
	}
	h.Close()
	if got := len(r.marks.Subjects(k)); got != 120 {
		t.Fatalf("%d marks", got)
	}
	r.tab("alice", tabName)
	if got := r.callout.count(); got != 1 {
		t.Errorf("%d verdicts", got)
	}
}
