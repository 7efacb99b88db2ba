package app_test

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

// valve lets a browser read, or not.
type valve struct {
	mu sync.Mutex // held while it is shut
}

// Dial implements nats.CustomDialer.
func (v *valve) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return valved{conn, v}, conn.(*net.TCPConn).SetReadBuffer(64 << 10)
}

type valved struct {
	net.Conn
	valve *valve
}

func (c valved) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.valve.mu.Lock() // what is read does not go on while it is shut
	defer c.valve.mu.Unlock()
	return n, err
}

// metric reads one figure of /metrics.
func metric(t *testing.T, a *app.App, name string) float64 {
	t.Helper()
	_, body := get(t, a.Endpoints().Metrics)
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s in the metrics", name)
	return 0
}

func connectAs(t *testing.T, url string, login nats.Option, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append(opts, login, nats.NoReconnect())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// connectOperator connects with the operator's key, as the CLI's context does.
func connectOperator(t *testing.T, a *app.App, dir string) *nats.Conn {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(keys.OperatorFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	return connectAs(t, a.Endpoints().NATS, key, nats.CustomInboxPrefix(status.InboxOperator))
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after 20 s: %s", what)
		}
	}
}

// All parts together: a browser that stops in the middle of 8 MiB of history leaves
// the rest of it in the stream, and gets it when it reads on.
func TestABrowserThatStopsReadingLeavesItsHistoryInTheStream(t *testing.T) {
	dir := t.TempDir()
	a := newApp(t, app.Options{DataDir: dir, Demo: true})
	start(t, a)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	service, err := nats.NkeyOptionFromSeed(keys.ServiceFile(dir))
	must(err)
	publisher, err := broadcaster.NewPublisher(connectAs(t, a.Endpoints().NATS, service), broadcaster.PublisherOptions{})
	must(err)
	text := strings.Repeat("x", 60<<10)
	for range 150 { // urgent, which no status of the demo's own is
		_, err := publisher.Publish(t.Context(), app.DemoConversation, status.Message{Category: "workflow", Text: text, Priority: status.PriorityUrgent})
		must(err)
	}

	secret, err := keys.ReadTokenSecret(dir)
	must(err)
	token, err := identity.Issue(secret, app.DemoOwner, time.Hour, time.Now())
	must(err)
	v := &valve{}
	browser := connectAs(t, a.Endpoints().WS, nats.Token(token), nats.SetCustomDialer(v))
	inbox := browser.NewInbox()
	got := make(chan *nats.Msg, 1000)
	_, err = browser.ChanSubscribe(inbox, got)
	must(err)
	must(browser.Flush())
	v.mu.Lock()
	must(browser.PublishRequest(status.EdgeSubject(app.DemoConversation, status.EdgeHistory), inbox, []byte(`{"categories":["workflow"],"min_priority":"urgent","limit":10000}`)))

	most, begun := 0.0, time.Now()
	var since time.Time // when the queue began to stand
	for last := -1.0; since.IsZero() || time.Since(since) < time.Second; time.Sleep(20 * time.Millisecond) {
		now := metric(t, a, "statuswire_queued_bytes")
		if most = max(most, now); now == 0 || now != last {
			since = time.Now()
		}
		if last = now; time.Since(begun) > 15*time.Second { // the edge waits for 20
			v.mu.Unlock()
			t.Fatalf("the queue does not stand: %.0f bytes, at most %.0f", now, most)
		}
	}
	if over := metric(t, a, `statuswire_requests_total{endpoint="history-as",result="answered"}`); most > 512<<10 || over != 0 {
		t.Errorf("%.0f bytes wait in the gateway, %.0f histories are over", most, over)
	}
	v.mu.Unlock()

	var seq uint64
	count := 0
	for {
		var m *nats.Msg
		select {
		case m = <-got:
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing comes after %d", count)
		}
		if len(m.Data) == 0 {
			if m.Header.Get(status.HeaderMore) != "true" || m.Header.Get(status.HeaderCount) != fmt.Sprint(count) {
				t.Errorf("after %d the end is %v", count, m.Header)
			}
			break
		}
		n, _ := strconv.ParseUint(m.Header.Get(status.HeaderSequence), 10, 64)
		if n <= seq || !bytes.Contains(m.Data, []byte(text)) {
			t.Fatalf("status %d comes after %d", n, seq)
		}
		seq = n
		count++
	}
	if count < 100 || count > 140 {
		t.Errorf("%d statuses of 60 KiB came, 8 MiB are due", count)
	}
}
