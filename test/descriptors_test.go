//go:build e2e

package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/nats-io/nats.go/jetstream"
)

// withDescriptors has the servers of this test run with so many descriptors.
func withDescriptors(t *testing.T, n int) {
	t.Helper()
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec '%s' \"$@\"\n", n, binary(t))
	name := filepath.Join(t.TempDir(), "statuswire")
	if err := os.WriteFile(name, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STATUSWIRE_BIN", name)
}

// crowd is what became of browsers that push in.
type crowd struct {
	mu      sync.Mutex // guards what follows
	in      []*browser
	refused int
	other   []string
}

// push has n browsers log in as the user, fifty at a time.
func (c *crowd) push(t *testing.T, s *statuswire, n int, token string) {
	var all sync.WaitGroup
	turns := make(chan struct{}, 50)
	for range n {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			c.one(t, s, token)
		})
	}
	all.Wait()
}

func (c *crowd) one(t *testing.T, s *statuswire, token string) {
	var retryAfter string
	var body []byte
	dialer := ws.Dialer{
		OnHeader: func(key, value []byte) error {
			if strings.EqualFold(string(key), "Retry-After") {
				retryAfter = string(value)
			}
			return nil
		},
		OnStatusError: func(_ int, _ []byte, resp io.Reader) {
			if r, err := http.ReadResponse(bufio.NewReader(resp), nil); err == nil {
				retryAfter = r.Header.Get("Retry-After")
				body, _ = io.ReadAll(r.Body)
			}
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, buffered, _, err := dialer.Dial(ctx, s.WS)
	c.mu.Lock()
	defer c.mu.Unlock()
	var refused ws.StatusError
	switch {
	case err == nil:
		t.Cleanup(func() { conn.Close() })
		var raw io.Reader = conn
		if buffered != nil {
			raw = io.MultiReader(buffered, conn)
		}
		b := &browser{conn: conn, lines: bufio.NewReader(&frames{conn: readWriter{raw, conn}})}
		c.in = append(c.in, b)
		b.send(t, fmt.Sprintf("CONNECT {\"auth_token\":%q,\"protocol\":1}\r\nPING\r\n", token))
	case errors.As(err, &refused) && refused == http.StatusServiceUnavailable && retryAfter == "5" &&
		strings.Contains(string(body), "this server has all the connections that it can have"):
		c.refused++
	default:
		c.other = append(c.other, fmt.Sprint(err, " Retry-After ", retryAfter, " ", string(body)))
	}
}

// TestTwoThousandBrowsersThatPushInCostNobodyAPublishedStatus has 1,024 descriptors
// for a server that 2,000 browsers want: each gets in or is told to come back, while
// every status that a service publishes is acknowledged, stored and delivered.
func TestTwoThousandBrowsersThatPushInCostNobodyAPublishedStatus(t *testing.T) {
	withDescriptors(t, 1024)
	s := startStatuswire(t, "--config", writeConfig(t, `
limits { connections_per_address: 100000, connections_per_user: 100000, upgrades_per_address: 100000, upgrades: 100000 }`))
	if !strings.Contains(s.Log(), "limit=768 descriptors=1024") {
		t.Errorf("the log does not tell the limit:\n%s", s.Log())
	}
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	token := s.run(t, "token", "--user", "alice")
	good := openBrowser(t, s)
	good.logIn(t, token, nil)
	good.send(t, "SUB status.c1.info 1\r\nPING\r\n")
	for good.line(t) != "PONG" {
	}
	p := newPublisher(t, s)
	p.publish("info", "before")

	// A service publishes as long as they push, one status after the other.
	texts := []string{"before"}
	done, pushed := make(chan struct{}), make(chan struct{})
	var failed error
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-pushed:
				return
			case <-time.After(2 * time.Millisecond):
			}
			text := fmt.Sprint("status ", i)
			if _, err := p.js.Publish(t.Context(), "status.c1.info", fmt.Appendf(nil, `{"text":%q}`, text)); err != nil {
				failed = fmt.Errorf("%s: %w", text, err)
				return
			}
			texts = append(texts, text)
		}
	}()
	var c crowd
	c.push(t, s, 2000, token)
	for range 2 { // those who were told to, come back
		c.push(t, s, 1000, token)
	}
	close(pushed)
	<-done
	if failed != nil {
		t.Fatal(failed)
	}
	t.Logf("%d browsers are in, %d were told to come back, %d statuses were published meanwhile", len(c.in), c.refused, len(texts))
	if len(c.other) > 0 {
		t.Fatalf("%d were neither let in nor told to come back: %s", len(c.other), c.other[0])
	}
	// 768 may be there, the good one and some that the tests had asked with included.
	if n := len(c.in); n < 700 || n > 767 {
		t.Errorf("%d are in", n)
	}
	p.publish("info", "behind")
	texts = append(texts, "behind")

	for _, want := range texts { // delivered
		for {
			line := good.line(t)
			if strings.HasPrefix(line, "{") {
				if !strings.Contains(line, fmt.Sprintf("%q", want)) {
					t.Fatalf("delivered %s, want %q", line, want)
				}
				break
			}
		}
	}
	js, err := jetstream.New(connectAs(t, s, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "STATUS")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != uint64(len(texts)) {
		t.Errorf("%d are stored, want %d", n, len(texts))
	}
	if strings.Contains(s.Log(), "too many open files") {
		t.Error("the descriptors were used up")
	}
	res, err := http.Get(s.HTTP + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}

	// Who goes makes room.
	for _, b := range c.in {
		b.conn.Close()
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		var again crowd
		again.one(t, s, token)
		if len(again.in) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no room though all have gone")
		}
	}
}

// TestTooFewDescriptorsAreAnErrorThatSaysHowMany starts where nothing could be served.
func TestTooFewDescriptorsAreAnErrorThatSaysHowMany(t *testing.T) {
	withDescriptors(t, 64)
	s := launch(t, t.TempDir())
	<-s.ended
	if s.err == nil || !strings.Contains(s.Log(), "this process may open 64 files") || !strings.Contains(s.Log(), "ulimit -n") {
		t.Errorf("%v\n%s", s.err, s.Log())
	}
}
