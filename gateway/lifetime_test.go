package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/session"
)

func TestAnExpiredGrantIsAPlainCloseAfterWhichTheClientComesBack(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.callout.set(func(c *callout) { c.lifetime = 2 * time.Second })
	b := r.login("alice")
	if errs := b.expectClosed(1000); len(errs) > 0 {
		t.Fatalf("got %q", errs)
	}
	if !strings.Contains(b.why, "expired") {
		t.Fatalf("reason %q", b.why)
	}
	if st := r.gateway.Stats(); st.Verdicts != 1 {
		t.Fatalf("%+v", st)
	}
	r.login("alice") // the old grant is not used again
	if got := r.callout.count(); got != 2 {
		t.Fatalf("%d callouts", got)
	}
}

func TestAFreshTokenRenewsInPlace(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) { c.lifetime = 3 * time.Second })
	b := r.login("alice/old")
	b.sub("_INBOX.a", "1")
	b.sub("status.c1.engine", "2")
	r.callout.set(func(c *callout) { c.lifetime = time.Hour })
	calls := r.callout.count()
	b.send("PUB gateway.token _INBOX.a 9", "alice/new")
	var answer struct {
		Expires   time.Time
		ExpiresIn int `json:"expires_in"`
		Error     *struct {
			Code        int
			Description string
		}
	}
	_, body, _ := strings.Cut(b.expectMsg("_INBOX.a 1 "), "\t")
	must(t, json.Unmarshal([]byte(body), &answer))
	if left := time.Until(answer.Expires); left < 50*time.Minute {
		t.Fatalf("expires in %v: %s", left, body)
	}
	if in := time.Duration(answer.ExpiresIn) * time.Second; in < 50*time.Minute || in > time.Hour {
		t.Fatalf("expires in %v: %s", in, body)
	}
	if got := r.callout.count() - calls; got != 1 {
		t.Fatalf("%d callouts: what the socket uses is asked for at once", got)
	}
	// Past the old end the socket and its subscription are there.
	time.Sleep(3500 * time.Millisecond)
	r.store("c1", "engine", "still here")
	b.expectMsg("status.c1.engine 2 ")
}

func TestAFreshTokenThatIsRefusedChangesNothing(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	b.sub("_INBOX.a", "1")
	b.sub("status.c1.engine", "2")
	for _, tt := range []struct{ token, want string }{
		{"bob", "another user's"},
		{"mallory", "token has a wrong signature"},
		{"", "no token"},
	} {
		r.callout.set(func(c *callout) {
			c.deny = func(user string) *session.Denial {
				if user == "mallory" {
					return &session.Denial{Reason: "token has a wrong signature", Final: true}
				}
				return nil
			}
		})
		b.send(fmt.Sprintf("PUB gateway.token _INBOX.a %d", len(tt.token)), tt.token)
		if got := b.expectMsg("_INBOX.a 1 "); !strings.Contains(got, tt.want) || !strings.Contains(got, `"code":401`) {
			t.Fatalf("token %q: got %q", tt.token, got)
		}
	}
	r.store("c1", "engine", "still here")
	b.expectMsg("status.c1.engine 2 ")
}

func TestAKeptLinkLivesAndDiesWithItsSocket(t *testing.T) {
	r := newRig(t, gateway.Options{KeepLinks: true})
	r.members.set("c1", "alice", true)
	a, b := r.login("alice"), r.login("alice")
	if st := r.links.Stats(); st.Kept != 2 {
		t.Fatalf("%+v: one for each socket", st)
	}
	b.sub("status.c1.engine", "1") // a regrant replaces the link
	eventually(t, "two links again", func() bool { return r.links.Stats().Kept == 2 })
	a.send("PING")
	a.expect("PONG")
	_ = a.conn.Close()
	eventually(t, "the link has gone with its socket", func() bool { return r.links.Stats().Kept == 1 })
}

func TestANewServerInsideTellsKeptBrowsersToComeBackAndKicksNobody(t *testing.T) {
	r := newRig(t, gateway.Options{KeepLinks: true})
	r.members.set("c1", "alice", true)
	a := r.login("alice")
	if _, err := r.engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.expectClosed(1013)
	for _, rec := range r.records() {
		if rec.Kind == audit.KindKicked {
			t.Errorf("recorded %+v", rec)
		}
	}
}

func TestANewServerInsideLeavesBrowsersConnectedAndLogsInOthers(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.members.set("c2", "bob", true)
	a := r.login("alice")
	a.sub("status.c1.engine", "1")
	if _, err := r.engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.store("c1", "engine", "after")
	a.expectMsg("status.c1.engine 1 ")
	b := r.login("bob") // by a verdict of the new server
	b.sub("status.c2.engine", "1")
	r.store("c2", "engine", "hello")
	b.expectMsg("status.c2.engine 1 ")
}

func TestAWebSocketPingFindsTheDeadAndSparesTheIdle(t *testing.T) {
	r := newRig(t, gateway.Options{PingInterval: 50 * time.Millisecond, PongTimeout: 100 * time.Millisecond})
	alive, dead := r.login("alice"), r.login("bob")
	dead.pong = false
	go alive.answerPings() // ends with the socket
	dead.expectClosed(1001)
	eventually(t, "only the idle one is left", func() bool { return r.gateway.Stats().Sockets == 1 })

}

func TestStopTellsBrowsersToComeBack(t *testing.T) {
	r := newRig(t, gateway.Options{})
	a, b := r.login("alice"), r.login("bob")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.gateway.Stop(ctx) }()
	a.expectClosed(ws.StatusGoingAway)
	b.expectClosed(ws.StatusGoingAway)
	_ = a.conn.Close()
	_ = b.conn.Close()
	must(t, <-done)
	must(t, r.gateway.Stop(ctx))
	resp, err := http.Get("http" + strings.TrimPrefix(r.url, "ws"))
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("got %s", resp.Status)
	}
}

func TestAStoppedReaderDelaysNobodyAndIsClosedAtItsBound(t *testing.T) {
	r := newRig(t, gateway.Options{MaxQueueBytes: 256 << 10})
	r.members.set("c1", "alice", true)
	stopped, good := r.login("alice"), r.login("alice")
	must(t, stopped.conn.(*net.TCPConn).SetReadBuffer(4096))
	stopped.sub("status.c1.engine", "1")
	good.sub("status.c1.engine", "1")
	text := strings.Repeat("x", 32<<10)
	for i := 0; r.gateway.Stats().SlowCloses == 0; i++ {
		if i > 2000 {
			t.Fatal("not closed after 64 MB")
		}
		r.store("c1", "engine", text)
		good.expectMsg("status.c1.engine 1 ")
	}
	eventually(t, "only the good one is left", func() bool { return r.gateway.Stats().Sockets == 1 })
	r.store("c1", "engine", "bye")
	good.expectMsg("status.c1.engine 1 ")
}

func TestASlowReaderThatCatchesUpMissesNothing(t *testing.T) {
	r := newRig(t, gateway.Options{MaxQueueBytes: 64 << 20})
	r.members.set("c1", "alice", true)
	slow := r.login("alice")
	slow.sub("status.c1.engine", "1")
	text := strings.Repeat("x", 32<<10)
	for i := range 400 {
		r.store("c1", "engine", fmt.Sprintf("%d %s", i, text))
	}
	if r.gateway.Stats().Sheltered == 0 {
		t.Fatal("nothing waited: the test does not test what it should")
	}
	for i := range 400 {
		if got := slow.expectMsg("status.c1.engine 1 "); !strings.Contains(got, fmt.Sprintf(`"text":"%d `, i)) {
			t.Fatalf("place %d has %.80q", i, got)
		}
	}
	eventually(t, "the queue is empty", func() bool { return r.gateway.Stats().Sheltered == 0 })
}

func TestASlowReaderIsSparedWhatIsLow(t *testing.T) {
	r := newRig(t, gateway.Options{MaxQueueBytes: 24 << 20})
	r.members.set("c1", "alice", true)
	slow := r.login("alice")
	must(t, slow.conn.(*net.TCPConn).SetReadBuffer(64<<10)) // the kernel is to hold little
	slow.sub("status.c1.*", "1")
	text := strings.Repeat("x", 32<<10)
	publish := func(category string, low bool, i int) {
		m := nats.NewMsg("ingest.c1." + category)
		m.Data = fmt.Appendf(nil, `{"text":"%d %s"}`, i, text)
		if low {
			m.Header.Set("Status-Priority", "low")
		}
		_, err := r.ingest.RequestMsg(m, patience)
		must(t, err)
	}
	sent := 0
	// Until the queue is more than half full, by more than the kernel takes of it
	// when the writer has not come to run yet.
	for ; r.gateway.Stats().Sheltered <= 17<<20; sent++ {
		publish("engine", false, sent)
	}
	for i := range 50 {
		publish("progress", true, i) // left out
		publish("engine", false, sent+i)
	}
	eventually(t, "50 are left out", func() bool { return r.gateway.Stats().Shed == 50 })
	if got := r.gateway.Stats().SlowCloses; got != 0 {
		t.Fatal("the slow one was closed")
	}
	for i := range sent + 50 {
		if got := slow.expectMsg("status.c1.engine 1"); !strings.Contains(got, fmt.Sprintf(`"text":"%d `, i)) {
			t.Fatalf("place %d has %.80q", i, got)
		}
	}
	eventually(t, "the queue is empty", func() bool { return r.gateway.Stats().Sheltered == 0 })
	publish("progress", true, 99) // and now it comes again
	slow.expectMsg("status.c1.progress 1")
}

func TestAThousandBrowsersLeaveNothingBehind(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	// The first browser makes the server start what it starts once.
	first := r.login("alice")
	first.sub("status.c1.engine", "1")
	r.store("c1", "engine", "warm")
	first.expectMsg("status.c1.engine 1")
	_ = first.conn.Close()
	eventually(t, "the first one is gone", func() bool { return r.gateway.Stats().Sockets == 0 })
	goroutines := runtime.NumGoroutine()
	subs := r.upstream.NumSubscriptions()
	heap := heapInUse()

	all := make([]*browser, 1000)
	for i := range all {
		all[i] = r.login("alice")
		all[i].sub("status.c1.engine", "1")
	}
	if got := r.upstream.NumSubscriptions() - subs; got != 1 {
		t.Fatalf("%d upstream subscriptions for one subject", got)
	}
	r.store("c1", "engine", "hello")
	for _, b := range all {
		b.expectMsg("status.c1.engine 1")
	}
	for i, b := range all { // and now on 1,000 subjects
		b.send("UNSUB 1", fmt.Sprintf("SUB status.c1.s%d 2", i), "PING")
		b.expect("PONG")
	}
	if got := r.upstream.NumSubscriptions() - subs; got != 1000 {
		t.Fatalf("%d upstream subscriptions for 1,000 subjects", got)
	}
	for _, b := range all {
		_ = b.conn.Close()
	}
	eventually(t, "sockets are gone", func() bool { return r.gateway.Stats().Sockets == 0 })
	eventually(t, "upstream subscriptions are gone", func() bool { return r.upstream.NumSubscriptions() == subs })
	clear(all)
	eventually(t, "memory is back", func() bool { return heapInUse() < heap+2<<20 })
	eventually(t, fmt.Sprintf("goroutines are %d again", goroutines), func() bool { return runtime.NumGoroutine() <= goroutines })
}

// heapInUse is what the heap holds after a collection, in bytes.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
