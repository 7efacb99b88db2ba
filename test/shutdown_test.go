//go:build e2e

package test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// acked is what publishers were promised: the text by its sequence.
type acked struct {
	mu    sync.Mutex
	texts map[uint64]string
}

func (a *acked) add(seq uint64, text string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.texts[seq] = text
	return len(a.texts)
}

// publishUntil publishes up to total statuses, many at a time, until the server is
// gone, and returns what was acknowledged. enough is called once when 1,000 are.
func publishUntil(t *testing.T, s *statuswire, total int, enough func()) *acked {
	t.Helper()
	a := &acked{texts: map[uint64]string{}}
	gone := make(chan struct{})
	nc := connectAs(t, s, "service", nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(gone) }))
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(64))
	if err != nil {
		t.Fatal(err)
	}
	categories := []string{"engine", "tool", "workflow", "progress", "error", "info"}
	var once sync.Once
	var settled sync.WaitGroup
	for i := range total {
		text := fmt.Sprintf("status %d", i)
		// Spread, because the stream keeps 10,000 statuses of a subject.
		category := categories[i%len(categories)]
		future, err := js.PublishAsync("status.c1."+category, fmt.Appendf(nil, `{"text":%q}`, text))
		if err != nil {
			break // the server is gone
		}
		settled.Go(func() {
			select {
			case ack := <-future.Ok():
				if a.add(ack.Sequence, text) == 1000 {
					once.Do(enough)
				}
			case <-future.Err():
			case <-gone:
			}
		})
	}
	settled.Wait()
	return a
}

// checkStored holds that each acknowledged status is in the stream, as it was.
func checkStored(t *testing.T, s *statuswire, a *acked) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	js, err := jetstream.New(connectAs(t, s, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "STATUS")
	if err != nil {
		t.Fatal(err)
	}
	for seq, text := range a.texts {
		m, err := stream.GetMsg(ctx, seq)
		if err != nil {
			t.Fatalf("sequence %d was acknowledged and is not there: %v", seq, err)
		}
		if !strings.HasPrefix(m.Subject, "status.c1.") || !strings.Contains(string(m.Data), fmt.Sprintf("%q", text)) {
			t.Fatalf("sequence %d: %s %s, want %q", seq, m.Subject, m.Data, text)
		}
	}
	t.Logf("%d acknowledged, all stored", len(a.texts))
}

// closeCode reads to the end and returns the code of the close frame, 0 without one.
func (b *browser) closeCode() int {
	if err := b.conn.SetReadDeadline(time.Now().Add(stopTimeout)); err != nil {
		return 0
	}
	for {
		_, err := b.lines.ReadString('\n')
		var closed wsutil.ClosedError
		switch {
		case errors.As(err, &closed):
			return int(closed.Code)
		case err != nil:
			return 0
		}
	}
}

func TestAKilledServerHasEveryAcknowledgedStatus(t *testing.T) {
	dir := t.TempDir()
	s := startStatuswireIn(t, dir)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	a := publishUntil(t, s, 2000, s.Kill)
	if n := len(a.texts); n < 1000 || n >= 2000 {
		t.Fatalf("%d acknowledged: the kill did not come in the middle", n)
	}
	checkStored(t, startStatuswireIn(t, dir), a)
}

func TestSIGTERMTellsBrowsersToComeBackAndKeepsWhatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	config := writeConfig(t, "retention { max_per_subject: 1000000 }")
	s := startStatuswireIn(t, dir, "--config", config)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	token := s.run(t, "token", "--user", "alice")
	var browsers []*browser
	for range 5 {
		b := openBrowser(t, s)
		b.logIn(t, token, nil)
		b.send(t, "SUB status.c1.engine 1\r\nPING\r\n")
		b.line(t) // the PONG
		browsers = append(browsers, b)
	}
	closed := make(chan int, len(browsers))
	for _, b := range browsers {
		go func() { closed <- b.closeCode() }() // ends with the socket
	}
	stopped := make(chan error, 1)
	const most = 1_000_000 // it is stopped long before
	a := publishUntil(t, s, most, func() { go func() { stopped <- s.Stop() }() })
	if err := <-stopped; err != nil {
		t.Fatalf("the shutdown was not clean: %v", err)
	}
	if n := len(a.texts); n < 1000 || n >= most {
		t.Fatalf("%d acknowledged: the stop did not come in the middle", n)
	}
	for range browsers {
		if code := <-closed; code != 1001 {
			t.Errorf("a browser was closed with %d, want 1001", code)
		}
	}
	checkStored(t, startStatuswireIn(t, dir, "--config", config), a)
}
