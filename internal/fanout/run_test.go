package fanout_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
)

// runner takes runs. Its first message waits until it is let go.
type runner struct {
	*collector
	once  sync.Once
	began chan struct{}
	goOn  chan struct{}
	runs  []int // lengths; written by the one shard
}

func newRunner() *runner {
	return &runner{collector: newCollector(), began: make(chan struct{}), goOn: make(chan struct{})}
}

func (r *runner) Deliver(m *fanout.Message, s *fanout.Subscription) {
	r.once.Do(func() { close(r.began); <-r.goOn })
	r.collector.Deliver(m, s)
}

func (r *runner) DeliverRun(run *fanout.Run, s *fanout.Subscription) {
	r.runs = append(r.runs, len(run.Messages))
	text := run.Encoded("1", 0, func(m *fanout.Message, _ string, _ uint8) []byte { return append(slices.Clone(m.Data), '\n') })
	if got := strings.Count(string(text), "\n"); got != len(run.Messages) {
		panic(fmt.Sprintf("%d of %d messages encoded", got, len(run.Messages)))
	}
	for _, m := range run.Messages {
		r.collector.Deliver(m, s)
	}
}

func TestWhatWaitedTogetherIsDeliveredTogether(t *testing.T) {
	const waiting = 20
	for _, c := range []struct {
		name string
		text string
		most int // messages in a run
	}{
		{"small messages in one run", "x", waiting},
		{"large messages in runs of a few", strings.Repeat("x", 6<<10), 2},
		{"messages too large for a run one by one", strings.Repeat("x", 20<<10), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, fanout.Options{Shards: 1})
			runs, plain := newRunner(), newCollector()
			if _, err := r.fanout.Subscribe(t.Context(), "status.c1.engine", "", "1", runs); err != nil {
				t.Fatal(err)
			}
			r.subscribe("status.c1.engine", "", plain)
			r.store("c1", "engine", "first")
			<-runs.began
			before := r.live.Stats().InMsgs
			for range waiting {
				r.store("c1", "engine", c.text)
			}
			deadline := time.Now().Add(10 * time.Second)
			for r.live.Stats().InMsgs < before+waiting {
				if time.Now().After(deadline) {
					t.Fatal("the messages do not arrive")
				}
				time.Sleep(time.Millisecond)
			}
			if err := r.live.Flush(); err != nil { // behind the last of them
				t.Fatal(err)
			}
			close(runs.goOn)
			for _, got := range [][]uint64{runs.waitFor(t, waiting+1), plain.waitFor(t, waiting+1)} {
				if len(got) != waiting+1 || !slices.IsSorted(got) {
					t.Fatalf("got %v", got)
				}
			}
			total := 0
			for _, n := range runs.runs {
				if n > c.most {
					t.Errorf("a run of %d", n)
				}
				total += n
			}
			if c.most > 1 && total != waiting {
				t.Errorf("%d in runs of %v", total, runs.runs)
			}
			eventually(t, "the count", func() bool { return r.fanout.Stats().Delivered == 2*(waiting+1) })
		})
	}
}
