package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
)

func (r *rig) settle(s *fanout.Subscription) {
	r.t.Helper()
	if err := r.fanout.Settle(r.t.Context(), s); err != nil {
		r.t.Fatal(err)
	}
}

// has is what the collector has got by now.
func (c *collector) has() []uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seqs)
}

func TestWhatWasAcknowledgedIsHandedOverWhenSettled(t *testing.T) {
	for _, subject := range []string{"status.c1.engine", "status.c1.*"} {
		t.Run(subject, func(t *testing.T) {
			r := newRig(t, fanout.Options{})
			c := newCollector()
			s := r.subscribe(subject, "", c)
			var others sync.WaitGroup // that the shards have something to do
			ctx, cancel := context.WithCancel(t.Context())
			for i := range 4 {
				others.Go(func() {
					for ctx.Err() == nil {
						_, _ = r.ingest.RequestWithContext(ctx, fmt.Sprintf("ingest.other%d.engine", i), []byte(`{"text":"x"}`))
					}
				})
				r.subscribe(fmt.Sprintf("status.other%d.engine", i), "", newCollector())
			}
			for i := range 200 {
				r.store("c1", "engine", fmt.Sprint(i))
				r.settle(s)
				if got := len(c.has()); got != i+1 {
					t.Fatalf("%d of %d statuses", got, i+1)
				}
			}
			cancel()
			others.Wait()
		})
	}
}

func TestSettlingWaitsForAHoleToBeMended(t *testing.T) {
	r := newRig(t, fanout.Options{})
	c := newCollector()
	s := r.subscribe("status.c1.engine", "", c)
	r.store("c1", "engine", "1")
	r.repair.fail(errors.New("the stream is away"))
	r.without("status.c1.engine", func() { r.store("c1", "engine", "2") })
	r.store("c1", "engine", "3")
	settled := make(chan error, 1)
	go func() { settled <- r.fanout.Settle(t.Context(), s) }()
	eventually(t, "an attempt at mending", func() bool { return r.repair.called() > 0 })
	select {
	case err := <-settled:
		t.Fatalf("settled with %v while a status is missing", err)
	default:
	}
	r.repair.fail(nil)
	if err := <-settled; err != nil {
		t.Fatal(err)
	}
	if got := c.has(); !slices.Equal(got, numbers(1, 3)) {
		t.Fatalf("got %v", got)
	}
}

func TestSettlingEndsWithTheSubscriptionsOfAHoleThatCannotBeMended(t *testing.T) {
	r := newRig(t, fanout.Options{RepairAttempts: 2})
	c := newCollector()
	s := r.subscribe("status.c1.engine", "", c)
	r.store("c1", "engine", "1")
	r.repair.fail(errors.New("the stream is away"))
	r.without("status.c1.engine", func() { r.store("c1", "engine", "2") })
	r.store("c1", "engine", "3")
	r.settle(s)
	c.wait(t, "the end", func(c *collector) bool { return len(c.ended) == 1 })
}

func TestSettlingWaitsForTheReplay(t *testing.T) {
	r := newRig(t, fanout.Options{})
	for i := range 20 {
		r.store("c1", "engine", fmt.Sprint(i+1))
	}
	g := newGate()
	s := r.subscribeAfter("status.c1.engine", g, fanout.Place{After: 1})
	<-g.wait
	r.store("c1", "engine", "21")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.fanout.Settle(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("settled with %v before the replay", err)
	}
	close(g.open)
	r.settle(s)
	if got := g.has(); !slices.Equal(got, numbers(2, 21)) {
		t.Fatalf("got %v", got)
	}
}

func TestSettlingAnEndedSubscriptionDoesNotWait(t *testing.T) {
	r := newRig(t, fanout.Options{})
	s := r.subscribe("status.c1.engine", "", newCollector())
	r.fanout.Unsubscribe(s)
	r.settle(s)
	queued := r.subscribe("status.c1.engine", "q", newCollector())
	r.settle(queued)
	r.settle(r.subscribe("presence.c1", "", newCollector()))
	if err := r.fanout.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.fanout.Settle(t.Context(), queued); !errors.Is(err, fanout.ErrStopped) {
		t.Fatalf("after stop: %v", err)
	}
}
