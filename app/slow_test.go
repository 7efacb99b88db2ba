package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/status"
)

// attacks are what a connection may do that wants to hold its place without
// logging in: begin, and then write piece once a second, if there is one.
var attacks = []struct {
	name         string
	begin, piece string
}{
	{"nothing", "", ""},
	{"garbage", "\x16\x03\x01 \xff\xfe garbage\r\n\r\n", "garbage\r\n"},
	{"half a head", "GET /ws HTTP/1.1\r\nHost: x\r\nX-", ""},
	{"a head, one byte a second", "GET /ws HTTP/1.1\r\nHost: x\r\nX-", "x"},
	{"a body, one byte a second", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", "x"},
	{"a socket that says nothing", upgrade, ""},
	{"a socket, half a frame", upgrade + "\x82\xfe", ""},
	{"a socket, garbage", upgrade + "garbage", "garbage"},
	{"a socket, CONNECT one byte a second", upgrade + "\x82\xff\x00\x00\x00\x00\x00\x00\x0f\xff\x00\x00\x00\x00CONNECT {", "x"},
	{"a socket, a ping a second", upgrade, "\x89\x80\x00\x00\x00\x00"},
}

const upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// attack returns when the server has closed the connection. It never closes its
// side before.
func attack(ctx context.Context, addr, begin, piece string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, begin); err != nil {
		return nil
	}
	scrap := make([]byte, 4096)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return ctx.Err()
		}
		_, err := conn.Read(scrap)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if _, err := io.WriteString(conn, piece); err != nil {
				return ctx.Err()
			}
		default:
			return ctx.Err()
		}
	}
}

// line is a service and a browser of the demo conversation, through real clients.
type line struct {
	publisher *broadcaster.Publisher
	got       <-chan *nats.Msg
}

func newLine(t testing.TB, a *app.App, dir string) line {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := nats.NkeyOptionFromSeed(keys.ServiceFile(dir))
	must(err)
	service, err := nats.Connect(a.Endpoints().NATS, key)
	must(err)
	t.Cleanup(service.Close)
	publisher, err := broadcaster.NewPublisher(service, broadcaster.PublisherOptions{})
	must(err)
	secret, err := keys.ReadTokenSecret(dir)
	must(err)
	token, err := identity.Issue(secret, app.DemoOwner, time.Hour, time.Now())
	must(err)
	browser, err := nats.Connect(a.Endpoints().WS, nats.Token(token), nats.NoReconnect())
	must(err)
	t.Cleanup(browser.Close)
	got := make(chan *nats.Msg, 1024)
	_, err = browser.ChanSubscribe(status.Subject(app.DemoConversation, "tool"), got)
	must(err)
	must(browser.Flush())
	return line{publisher, got}
}

// deliver publishes and waits for the browser to have it.
func (l line) deliver(ctx context.Context, text string) (time.Duration, error) {
	began := time.Now()
	if _, err := l.publisher.Publish(ctx, app.DemoConversation, status.Message{Category: "tool", Text: text}); err != nil {
		return 0, err
	}
	for {
		select {
		case m := <-l.got: // the demo's own statuses come by as well
			if strings.Contains(string(m.Data), text) {
				return time.Since(began), nil
			}
		case <-ctx.Done():
			return 0, fmt.Errorf("%s was not delivered: %w", text, ctx.Err())
		}
	}
}

func underAttack(t testing.TB, connectTimeout time.Duration) (*app.App, line) {
	t.Helper()
	dir := t.TempDir()
	a, err := app.New(app.Options{DataDir: dir, HTTP: "127.0.0.1:0", Demo: true, Gateway: gateway.Options{
		ConnectTimeout: connectTimeout,
		Limits:         limit.Options{ConnectionsPerAddress: limit.Rule{Value: 10_000}},
	}, Engine: engineOnFreePort(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, newLine(t, a, dir)
}

func TestSlowConnectionsAreClosedInTimeAndNobodyElseNotices(t *testing.T) {
	const (
		connections = 500
		timeout     = time.Second
		// The body's deadline is 5 s after the head's, and the test's machine is busy.
		longest = timeout + 5*time.Second + 4*time.Second
	)
	a, l := underAttack(t, timeout)
	addr := strings.TrimPrefix(a.Endpoints().HTTP, "http://")
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	took := map[string]time.Duration{}
	for i := range connections {
		what := attacks[i%len(attacks)]
		all.Go(func() {
			if err := attack(ctx, addr, what.begin, what.piece); err != nil {
				t.Errorf("%s: %v", what.name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			took[what.name] = max(took[what.name], time.Since(began))
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	var delivered []time.Duration
	for n, over := 0, false; !over; n++ {
		d, err := l.deliver(t.Context(), fmt.Sprintf("number %d", n))
		if err != nil {
			t.Fatal(err)
		}
		delivered = append(delivered, d)
		select {
		case <-done:
			over = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	for _, what := range attacks {
		t.Logf("%-40s closed after %v", what.name, took[what.name].Round(10*time.Millisecond))
		if most := timeout + 4*time.Second; took[what.name] > most && !strings.HasPrefix(what.name, "a body") {
			t.Errorf("%s: open for %v", what.name, took[what.name])
		}
	}
	slices.Sort(delivered)
	t.Logf("%d statuses delivered meanwhile, p99 %v", len(delivered), delivered[len(delivered)*99/100])
	if resp, _ := get(t, a.Endpoints().HTTP+"/healthz"); resp.StatusCode != 200 {
		t.Errorf("healthz: %s", resp.Status)
	}
}

// BenchmarkDeliveryBesideSlowConnections delivers one status after the other while
// 500 connections of one address hold what they can, each coming again at once.
//
//	p99-ms   of publish to receipt, both through nats.go
func BenchmarkDeliveryBesideSlowConnections(b *testing.B) {
	for _, connections := range []int{0, 500} {
		b.Run(fmt.Sprintf("%d", connections), func(b *testing.B) {
			a, l := underAttack(b, 0)
			addr := strings.TrimPrefix(a.Endpoints().HTTP, "http://")
			ctx, cancel := context.WithCancel(b.Context())
			var all sync.WaitGroup
			for i := range connections {
				what := attacks[i%len(attacks)]
				all.Go(func() {
					for ctx.Err() == nil {
						_ = attack(ctx, addr, what.begin, what.piece)
					}
				})
			}
			var delivered []time.Duration
			for b.Loop() {
				d, err := l.deliver(ctx, fmt.Sprintf("number %d", len(delivered)))
				if err != nil {
					b.Fatal(err)
				}
				delivered = append(delivered, d)
			}
			cancel()
			all.Wait()
			slices.Sort(delivered)
			b.ReportMetric(float64(delivered[len(delivered)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
