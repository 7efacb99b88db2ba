package fanout_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/fanout/fromhistory"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// whole reads a query to its end.
func whole(t *testing.T, r *history.Reader, q history.Query) (all history.Batch) {
	t.Helper()
	replay := r.Replay(q)
	for {
		b, err := replay.Next(t.Context(), history.MaxBatch)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		b.Messages = append(all.Messages, b.Messages...)
		if b.Truncated == 0 {
			b.Truncated = all.Truncated
		}
		if all = b; b.Done {
			return all
		}
	}
}

// readers are two of the same stream, one of them with what the fan-out remembers.
func (r *rig) readers() (stream, memory *history.Reader) {
	stream, memory = history.NewReader(r.reads()), history.NewReader(r.reads())
	memory.UseRecent(fromhistory.Recent(r.fanout))
	return stream, memory
}

func TestAHistoryFromMemoryIsTheOneOfTheStream(t *testing.T) {
	for name, topics := range map[string][]string{"a wildcard": {"status.c1.*"}, "categories": {"status.c1.engine", "status.c1.tool"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, keep())
			stream, memory := r.readers()
			categories := []status.Category{"engine", "tool", "info"}
			store := func(i int) {
				m := nats.NewMsg("ingest.c1." + string(categories[i%3]))
				m.Data = fmt.Appendf(nil, `{"text":"%d"}`, i)
				m.Header.Set("Own-Header", "a: b")
				m.Header.Add("Own-Header", fmt.Sprint(i))
				m.Header.Set(status.HeaderPriority, []string{"low", "high"}[i%2])
				if _, err := r.ingest.RequestMsg(m, 5*time.Second); err != nil {
					t.Fatal(err)
				}
				r.store("c2", "engine", "of others")
			}
			for i := range 10 {
				store(i)
			}
			for _, topic := range topics {
				r.leave(topic)
			}
			for i := range 40 {
				store(i)
			}
			for _, topic := range topics {
				r.settled(topic)
			}
			random := rand.New(rand.NewPCG(1, 1))
			for range 200 {
				q := history.Query{Conversation: "c1", Place: history.Place{After: 15 + random.Uint64N(90), Seen: map[string]uint64{}}}
				if random.IntN(4) > 0 {
					q.Place.Epoch = r.epoch()
				}
				for _, c := range categories {
					if random.IntN(3) == 0 {
						q.Categories = append(q.Categories, c)
					}
					if random.IntN(3) == 0 {
						q.Place.Seen[status.Subject("c1", c)] = min(100, q.Place.After+random.Uint64N(30))
					}
				}
				q.Place.After = min(q.Place.After, 100)
				if random.IntN(4) == 0 {
					q.MinPriority = status.PriorityHigh
				}
				got, want := whole(t, memory, q), whole(t, stream, q)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("%+v:\n%+v\nthe stream has\n%+v", q, got, want)
				}
			}
			if got := r.fanout.Stats(); got.Recalled < 100 {
				t.Errorf("%d were from memory", got.Recalled)
			}
		})
	}
}

func TestAHistoryIsNotFromMemoryThatLacksSomething(t *testing.T) {
	r := newRig(t, fanout.Options{Keep: never, CheckEvery: never})
	_, memory := r.readers()
	here := newCollector()
	r.subscribe("status.c1.*", "", here)
	r.without("status.c1.*", func() { r.store("c1", "engine", "lost") })
	r.store("c1", "tool", "came")
	here.waitFor(t, 1)
	before := r.fanout.Stats().Recalled
	b := whole(t, memory, history.Query{Conversation: "c1", Place: history.Place{Epoch: r.epoch()}})
	if len(b.Messages) != 2 || b.UpTo != 2 {
		t.Errorf("got %+v", b)
	}
	if r.fanout.Stats().Recalled != before {
		t.Error("from memory")
	}
	if all, ok := r.fanout.Recall("status.c2.*", fanout.Place{}, nil); ok {
		t.Errorf("of what nobody follows: %v", all)
	}
}

func TestAHistoryAboveTheEndIsRefusedAsBefore(t *testing.T) {
	r := newRig(t, keep())
	_, memory := r.readers()
	r.leave("status.c1.*")
	r.store("c1", "engine", "1")
	r.settled("status.c1.*")
	for _, place := range []history.Place{{After: 7}, {Epoch: r.epoch(), Seen: map[string]uint64{"status.c1.engine": 7}}, {Epoch: "another"}} {
		if _, err := memory.Replay(history.Query{Conversation: "c1", Place: place}).Next(t.Context(), 10); err == nil {
			t.Errorf("%+v is believed", place)
		}
	}
}
