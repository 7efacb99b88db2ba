package history_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

func TestTruncatedAtTheBeginningOfTheStream(t *testing.T) {
	nc, st := startStream(t)
	store(t, nc, "status.c1.engine", "status.c2.engine", "status.c1.tool", "status.c2.tool", "status.c1.engine") // 1 to 5
	store(t, nc, "status.c2.engine", "status.c2.engine", "status.c1.tool", "status.c1.info")                     // 6 to 9
	purgeUpTo(t, st, 6)
	fifth, sixth := storedAt(t, st, 9).Add(-time.Hour), storedAt(t, st, 6)
	for _, c := range []struct {
		name      string
		query     history.Query
		want      []uint64
		truncated []uint64
	}{
		{"from nothing", history.Query{}, []uint64{8, 9}, []uint64{6}},
		{"the next one is there", history.Query{Place: place(5)}, []uint64{8, 9}, nil},
		{"one is missing", history.Query{Place: place(4)}, []uint64{8, 9}, []uint64{6}},
		{"beyond", history.Query{Place: place(7)}, []uint64{8, 9}, nil},
		{"at the end", history.Query{Place: place(9)}, nil, nil},
		{"nothing new, and something may be gone", history.Query{Conversation: "c3", Place: place(3)}, nil, []uint64{6}},
		{"nothing new", history.Query{Conversation: "c3", Place: place(5)}, nil, nil},
		{"seen, but not of all", history.Query{Place: place(4, "engine", 5, "tool", 5)}, []uint64{8, 9}, []uint64{6}},
		{"seen of all that are wanted", history.Query{Categories: []status.Category{"engine", "tool"}, Place: place(0, "engine", 5, "tool", 5)}, []uint64{8}, nil},
		{"seen of one of them", history.Query{Categories: []status.Category{"engine", "tool"}, Place: place(0, "engine", 5)}, []uint64{8}, []uint64{6}},
		{"a quiet one that is wanted", history.Query{Categories: []status.Category{"tool", "workflow"}, Place: place(4, "tool", 8)}, nil, []uint64{6}},
		{"since then", history.Query{Since: sixth.Add(1)}, []uint64{8, 9}, nil},
		{"since the first that is left", history.Query{Since: sixth}, []uint64{8, 9}, []uint64{6}},
		{"since long before", history.Query{Since: fifth}, []uint64{8, 9}, []uint64{6}},
		{"of a priority that is not there", history.Query{MinPriority: status.PriorityUrgent}, nil, []uint64{6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.query.Conversation == "" {
				c.query.Conversation = "c1"
			}
			for _, most := range []int{1, 200} {
				p := history.NewReader(nc).Replay(c.query)
				got := drain(t, p, most)
				if !slices.Equal(got.sequences, c.want) || !slices.Equal(got.truncated, c.truncated) {
					t.Errorf("%d at a time: %v, truncated %v; want %v, %v", most, got.sequences, got.truncated, c.want, c.truncated)
				}
				if again := drain(t, p, most); len(again.truncated) > 0 {
					t.Errorf("it is reported again: %v", again.truncated)
				}
			}
		})
	}
}

func TestTruncatedWhenNothingIsLeft(t *testing.T) {
	nc, st := startStream(t)
	store(t, nc, "status.c1.engine", "status.c1.engine", "status.c2.engine")
	last := storedAt(t, st, 3)
	if err := st.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		query     history.Query
		truncated []uint64
	}{
		{"from nothing", history.Query{}, []uint64{4}},
		{"one is missing", history.Query{Place: place(2)}, []uint64{4}},
		{"none is missing", history.Query{Place: place(3)}, nil},
		{"since then", history.Query{Since: last.Add(1)}, nil},
	} {
		c.query.Conversation = "c1"
		got := drain(t, history.NewReader(nc).Replay(c.query), 200)
		if len(got.sequences) > 0 || !slices.Equal(got.truncated, c.truncated) || got.upTo != 3 {
			t.Errorf("%s: %+v, want truncated %v", c.name, got, c.truncated)
		}
	}
}

func TestTruncatedByTheLimitPerSubject(t *testing.T) {
	nc, st := startStream(t)
	cfg := st.CachedInfo().Config
	cfg.MaxMsgsPerSubject = 3
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	store(t, nc, "status.c1.info")                                                                            // 1 stays: info is not full
	store(t, nc, "status.c1.engine", "status.c1.engine", "status.c1.engine", "status.c1.engine")              // 2 to 5, 2 is dropped
	store(t, nc, "status.c1.tool", "status.c1.engine", "status.c1.tool", "status.c1.tool")                    // 6 to 9, 3 is dropped
	store(t, nc, "status.c1.tool", "status.c1.info", "status.c1.quiet", "status.c1.quiet", "status.c1.quiet") // 10 to 14, 6 is dropped
	fourth, fifth := storedAt(t, st, 4), storedAt(t, st, 5)
	// Left: info 1, 11 · engine 4, 5, 7 · tool 8, 9, 10 · quiet 12, 13, 14.
	for _, c := range []struct {
		name      string
		query     history.Query
		want      []uint64
		truncated []uint64
	}{
		{"all, from nothing", history.Query{}, []uint64{1, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14}, []uint64{4}},
		{"the next one is there", history.Query{Categories: []status.Category{"engine"}, Place: place(3)}, []uint64{4, 5, 7}, nil},
		{"one is missing", history.Query{Categories: []status.Category{"engine"}, Place: place(2)}, []uint64{4, 5, 7}, []uint64{4}},
		{"the oldest is known", history.Query{Categories: []status.Category{"engine"}, Place: place(4)}, []uint64{5, 7}, nil},
		{"another category's is missing", history.Query{Categories: []status.Category{"engine", "tool"}, Place: place(5)}, []uint64{7, 8, 9, 10}, []uint64{8}},
		{"seen makes up for it", history.Query{Categories: []status.Category{"engine", "tool"}, Place: place(5, "tool", 8)}, []uint64{7, 9, 10}, nil},
		{"not full", history.Query{Categories: []status.Category{"info"}}, []uint64{1, 11}, nil},
		{"full, and all is known", history.Query{Categories: []status.Category{"engine"}, Place: place(7)}, nil, nil},
		{"since the oldest that is left", history.Query{Categories: []status.Category{"engine"}, Since: fourth}, []uint64{4, 5, 7}, []uint64{4}},
		{"since one that is left", history.Query{Categories: []status.Category{"engine"}, Since: fifth}, []uint64{5, 7}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.query.Conversation = "c1"
			p := history.NewReader(nc).Replay(c.query)
			got := drain(t, p, 200)
			if !slices.Equal(got.sequences, c.want) || !slices.Equal(got.truncated, c.truncated) {
				t.Errorf("%v, truncated %v; want %v, %v", got.sequences, got.truncated, c.want, c.truncated)
			}
			if again := drain(t, p, 200); len(again.truncated) > 0 || len(again.sequences) > 0 {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

// Retention goes on while a replay is under way: what it overtakes is reported,
// what it only follows is not.
func TestTruncatedInTheMiddle(t *testing.T) {
	nc, st := startStream(t)
	for range 10 {
		store(t, nc, "status.c1.engine")
	}
	p := history.NewReader(nc).Replay(history.Query{Conversation: "c1"})
	next := func(want []uint64, truncated uint64, done bool) {
		t.Helper()
		b, err := p.Next(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(sequences(b.Messages), want) || b.Truncated != truncated || b.Done != done {
			t.Errorf("got %v, truncated %d, done %v; want %v, %d, %v", sequences(b.Messages), b.Truncated, b.Done, want, truncated, done)
		}
	}
	next([]uint64{1, 2, 3}, 0, false)
	purgeUpTo(t, st, 4)
	next([]uint64{4, 5, 6}, 0, false)
	purgeUpTo(t, st, 9)
	next([]uint64{9, 10}, 9, true)
	next(nil, 0, true)
	// All that it was on its way to is dropped before it gets there.
	for range 10 {
		store(t, nc, "status.c1.engine")
	}
	next([]uint64{11, 12, 13}, 0, false)
	if err := st.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	next(nil, 21, false)
	next(nil, 0, true)
}

func TestTruncatedByAgeAndBySize(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit func(*jetstream.StreamConfig)
	}{
		{"age", func(cfg *jetstream.StreamConfig) {
			cfg.MaxAge, cfg.Duplicates = 100*time.Millisecond, 100*time.Millisecond
		}},
		{"size", func(cfg *jetstream.StreamConfig) { cfg.MaxBytes = 1000; cfg.Discard = jetstream.DiscardOld }},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc, st := startStream(t)
			cfg := st.CachedInfo().Config
			c.limit(&cfg)
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			var first uint64
			for deadline := time.Now().Add(20 * time.Second); first < 5; {
				store(t, nc, "status.c1.engine", "status.c2.engine")
				info, err := st.Info(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if first = info.State.FirstSeq; time.Now().After(deadline) {
					t.Fatal("retention drops nothing")
				}
			}
			p := history.NewReader(nc).Replay(history.Query{Conversation: "c1", Place: place(2)})
			got := drain(t, p, 200)
			// Age goes on while it is read, and may overtake it again.
			if len(got.truncated) == 0 || got.truncated[0] < first || !slices.IsSorted(got.truncated) || c.name == "size" && len(got.truncated) > 1 {
				t.Fatalf("truncated %v, the stream began at %d before", got.truncated, first)
			}
			for _, seq := range got.sequences {
				if seq < got.truncated[0] {
					t.Errorf("status %d came, below %d", seq, got.truncated[0])
				}
			}
		})
	}
}

func storedAt(t *testing.T, st jetstream.Stream, seq uint64) time.Time {
	t.Helper()
	m, err := st.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return m.Time
}
