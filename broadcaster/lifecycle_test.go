package broadcaster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/status"
)

func TestStopFinishesWhatHasArrived(t *testing.T) {
	h := open(t)
	js, err := jetstream.New(h.service(t))
	check(t, err)
	var futures []jetstream.PubAckFuture
	for i := range 2000 {
		f, err := js.PublishAsync("status.c1.engine", fmt.Appendf(nil, `{"text":"%d"}`, i), jetstream.WithStallWait(10*time.Second))
		check(t, err)
		futures = append(futures, f)
	}
	check(t, h.broadcaster.Stop(soon(t)))
	stats := h.broadcaster.Stats()
	if stats.Received != stats.Forwarded || stats.Dropped != 0 {
		t.Errorf("received %d, forwarded %d, dropped %d", stats.Received, stats.Forwarded, stats.Dropped)
	}
	// What it has forwarded is acknowledged, the rest was never taken.
	stored := map[string]bool{}
	eventually(t, "what was forwarded is stored", func() bool { return h.count(t) == stats.Forwarded })
	listener, err := h.operator(t).JetStream()
	check(t, err)
	for seq := uint64(1); seq <= stats.Forwarded; seq++ {
		m, err := listener.GetMsg("STATUS", seq)
		check(t, err)
		stored[string(m.Data)] = true
	}
	if uint64(len(stored)) != stats.Forwarded {
		t.Errorf("%d different statuses are stored, want %d", len(stored), stats.Forwarded)
	}
	acked := uint64(0)
	for _, f := range futures {
		select {
		case ack := <-f.Ok():
			acked++
			if ack.Sequence > stats.Forwarded {
				t.Errorf("acknowledged but not stored: %d", ack.Sequence)
			}
		case <-f.Err():
		case <-time.After(10 * time.Second):
			t.Fatal("neither acknowledged nor refused")
		}
	}
	if acked != stats.Forwarded {
		t.Errorf("%d acknowledged, %d forwarded", acked, stats.Forwarded)
	}
}

// count is how many statuses the stream holds.
func (h *house) count(t testing.TB) uint64 {
	t.Helper()
	js, err := jetstream.New(h.operator(t))
	check(t, err)
	s, err := js.Stream(soon(t), engine.StreamStatus)
	check(t, err)
	return s.CachedInfo().State.Msgs
}

func TestStopAndStartInAnyOrder(t *testing.T) {
	h := open(t)
	nc, err := h.engine.Connect(engine.PartBroadcaster)
	check(t, err)
	t.Cleanup(nc.Close)
	t.Run("stop without start", func(t *testing.T) {
		b, err := broadcaster.New(nc, h.dir, broadcaster.Options{})
		check(t, err)
		check(t, b.Stop(soon(t)))
		check(t, b.Stop(soon(t)))
		if err := b.Start(soon(t)); err == nil {
			t.Error("started after Stop")
		}
	})
	t.Run("start twice, stop twice", func(t *testing.T) {
		b, err := broadcaster.New(nc, h.dir, broadcaster.Options{})
		check(t, err)
		check(t, b.Start(soon(t)))
		if err := b.Start(soon(t)); err == nil {
			t.Error("started twice")
		}
		check(t, b.Stop(soon(t)))
		check(t, b.Stop(soon(t)))
	})
	t.Run("stop when the connection is closed", func(t *testing.T) {
		nc, err := h.engine.Connect(engine.PartBroadcaster)
		check(t, err)
		b, err := broadcaster.New(nc, h.dir, broadcaster.Options{})
		check(t, err)
		check(t, b.Start(soon(t)))
		nc.Close()
		if err := b.Stop(soon(t)); err == nil {
			t.Error("it says that all was finished")
		}
	})
	t.Run("start with a closed connection", func(t *testing.T) {
		nc, err := h.engine.Connect(engine.PartBroadcaster)
		check(t, err)
		nc.Close()
		b, err := broadcaster.New(nc, h.dir, broadcaster.Options{})
		check(t, err)
		if err := b.Start(soon(t)); err == nil {
			t.Error("started")
		}
		check(t, b.Stop(soon(t)))
	})
}

func TestStopGivesUpWhenItsContextEnds(t *testing.T) {
	h := open(t)
	entered := make(chan struct{}, 1000)
	h.dir.mu.Lock()
	h.dir.hold = func(ctx context.Context, _ status.ConversationID) {
		entered <- struct{}{}
		<-ctx.Done()
	}
	h.dir.mu.Unlock()
	nc := h.service(t)
	for range 10 {
		check(t, nc.Publish("status.c1.engine", []byte(`{"text":"hi"}`)))
	}
	check(t, nc.Flush())
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.broadcaster.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that the deadline is exceeded", err)
	}
}

func TestOptionsRefuseWhatCannotBeUsed(t *testing.T) {
	_, err := broadcaster.New(nil, nil, broadcaster.Options{Workers: -1, QueueLength: -2, MaxPendingBytes: -3})
	for _, want := range []string{"workers is -1", "queue length is -2", "max pending bytes is -3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	check(t, broadcaster.DefaultOptions().Validate())
	_, err = broadcaster.NewPublisher(nil, broadcaster.PublisherOptions{})
	if err == nil {
		t.Error("a publisher without a connection")
	}
	err = broadcaster.PublisherOptions{Timeout: 2 * time.Minute, RetryWait: -1, MaxInFlight: -1}.Validate()
	for _, want := range []string{"at most 1m30s", "retry wait is -1ns", "max in flight is -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	check(t, broadcaster.DefaultPublisherOptions().Validate())
}

// The broadcaster is replaced again and again while services publish: every
// status is stored, and stored once.
func TestPublishersSurviveRestartsOfTheBroadcaster(t *testing.T) {
	h := open(t)
	nc, err := h.engine.Connect(engine.PartBroadcaster)
	check(t, err)
	t.Cleanup(nc.Close)
	p, err := broadcaster.NewPublisher(h.service(t), broadcaster.PublisherOptions{AttemptTimeout: 300 * time.Millisecond, RetryWait: 5 * time.Millisecond})
	check(t, err)

	const publishers, each = 4, 100
	var publishing sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() {
			for n := range each {
				_, err := p.Publish(t.Context(), "c1", status.Message{Category: "engine", Text: fmt.Sprint(i, "/", n)})
				if err != nil {
					t.Errorf("%d/%d: %v", i, n, err)
				}
			}
		})
	}
	batch := make([]broadcaster.Outgoing, 1000)
	for n := range batch {
		batch[n] = broadcaster.Outgoing{Conversation: "c2", Message: status.Message{Category: "tool", Text: fmt.Sprint(n)}}
	}
	publishing.Go(func() {
		if _, err := p.PublishBatch(t.Context(), batch); err != nil {
			t.Error(err)
		}
	})
	done := make(chan struct{})
	go func() { publishing.Wait(); close(done) }()

	finished := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	current := h.broadcaster
	for restarts := 0; ; restarts++ {
		eventually(t, "it has some work to do", func() bool { return finished() || current.Stats().Received > 50 })
		if finished() {
			check(t, current.Stop(soon(t)))
			if n := h.count(t); n != publishers*each+uint64(len(batch)) {
				t.Errorf("%d statuses are stored after %d restarts, want %d", n, restarts, publishers*each+len(batch))
			}
			if restarts < 5 {
				t.Errorf("only %d restarts", restarts)
			}
			return
		}
		check(t, current.Stop(soon(t)))
		current, err = broadcaster.New(nc, h.dir, broadcaster.Options{Logger: slog.New(slog.DiscardHandler)})
		check(t, err)
		check(t, current.Start(t.Context()))
	}
}
