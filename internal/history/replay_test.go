package history_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// drained is all that a replay brings up to Done.
type drained struct {
	sequences []uint64
	truncated []uint64 // one for each report
	upTo      uint64
	batches   int
}

func drain(t *testing.T, p *history.Replay, most int) drained {
	t.Helper()
	var d drained
	for {
		b, err := p.Next(t.Context(), most)
		if err != nil {
			t.Fatal(err)
		}
		if d.batches++; d.batches > 10_000 {
			t.Fatal("the replay does not end")
		}
		if len(b.Messages) > min(most, history.MaxBatch) {
			t.Fatalf("a batch of %d messages, at most %d were asked for", len(b.Messages), most)
		}
		for _, m := range b.Messages {
			if m.Sequence > b.UpTo {
				t.Fatalf("message %d is above UpTo, %d", m.Sequence, b.UpTo)
			}
		}
		d.sequences = append(d.sequences, sequences(b.Messages)...)
		if b.Truncated > 0 {
			d.truncated = append(d.truncated, b.Truncated)
		}
		if b.UpTo < d.upTo {
			t.Fatalf("UpTo went back from %d to %d", d.upTo, b.UpTo)
		}
		if d.upTo = b.UpTo; b.Done {
			return d
		}
	}
}

// place is a place in c1; seen are categories with their positions.
func place(after uint64, seen ...any) history.Place {
	p := history.Place{After: after, Seen: map[string]uint64{}}
	for i := 0; i < len(seen); i += 2 {
		p.Seen["status.c1."+seen[i].(string)] = uint64(seen[i+1].(int))
	}
	return p
}

func TestReplayBringsWhatIsWanted(t *testing.T) {
	nc, _ := startStream(t)
	for _, m := range []struct {
		subject, priority string
	}{
		{"c1.engine", ""},     // 1
		{"c2.engine", ""},     // 2
		{"c1.tool", "low"},    // 3
		{"c1.engine", "high"}, // 4
		{"c1.info", "normal"}, // 5
		{"c1.engine", "low"},  // 6
		{"c1.tool", "urgent"}, // 7
		{"c2.tool", ""},       // 8
	} {
		msg := nats.NewMsg("status." + m.subject)
		if m.priority != "" {
			msg.Header.Set(status.HeaderPriority, m.priority)
		}
		storeMsg(t, nc, msg)
	}
	for _, c := range []struct {
		name  string
		query history.Query
		want  []uint64
	}{
		{"everything", history.Query{}, []uint64{1, 3, 4, 5, 6, 7}},
		{"after a sequence", history.Query{Place: place(4)}, []uint64{5, 6, 7}},
		{"after another's sequence", history.Query{Place: place(2)}, []uint64{3, 4, 5, 6, 7}},
		{"nothing new", history.Query{Place: place(7)}, nil},
		{"nothing new at the very end", history.Query{Place: place(8)}, nil},
		{"one category", history.Query{Categories: []status.Category{"tool"}}, []uint64{3, 7}},
		{"one category twice", history.Query{Categories: []status.Category{"tool", "tool"}}, []uint64{3, 7}},
		{"two categories", history.Query{Categories: []status.Category{"tool", "info"}}, []uint64{3, 5, 7}},
		{"a category without statuses", history.Query{Categories: []status.Category{"workflow"}}, nil},
		{"one with and one without", history.Query{Categories: []status.Category{"workflow", "info"}}, []uint64{5}},
		{"a category that is seen further", history.Query{Place: place(0, "engine", 4)}, []uint64{3, 5, 6, 7}},
		{"a category that is seen less far counts from after", history.Query{Place: place(5, "engine", 1)}, []uint64{6, 7}},
		{"one unknown in seen counts from after", history.Query{Place: place(3, "engine", 6)}, []uint64{5, 7}},
		{"all seen to the end", history.Query{Place: place(0, "engine", 6, "tool", 7, "info", 5)}, nil},
		{"seen of a category that is not wanted", history.Query{Categories: []status.Category{"tool"}, Place: place(0, "engine", 6)}, []uint64{3, 7}},
		{"from low on", history.Query{MinPriority: status.PriorityLow}, []uint64{1, 3, 4, 5, 6, 7}},
		{"from normal on, which is the one without", history.Query{MinPriority: status.PriorityNormal}, []uint64{1, 4, 5, 7}},
		{"from high on", history.Query{MinPriority: status.PriorityHigh}, []uint64{4, 7}},
		{"urgent only", history.Query{MinPriority: status.PriorityUrgent}, []uint64{7}},
		{"urgent only of a category without", history.Query{MinPriority: status.PriorityUrgent, Categories: []status.Category{"info"}}, nil},
		{"another conversation", history.Query{Conversation: "c2"}, []uint64{2, 8}},
		{"a conversation without statuses", history.Query{Conversation: "c3"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.query.Conversation == "" {
				c.query.Conversation = "c1"
			}
			for _, most := range []int{1, 2, 3, 200} {
				p := history.NewReader(nc).Replay(c.query)
				got := drain(t, p, most)
				if !slices.Equal(got.sequences, c.want) || len(got.truncated) > 0 || got.upTo != 8 {
					t.Errorf("%d at a time: %v, up to %d, truncated %v; want %v up to 8", most, got.sequences, got.upTo, got.truncated, c.want)
				}
				if again := drain(t, p, most); len(again.sequences) > 0 || again.upTo != 8 || again.batches != 1 {
					t.Errorf("the second time: %+v", again)
				}
			}
		})
	}
}

func TestReplayGoesOnWithWhatHasCome(t *testing.T) {
	nc, _ := startStream(t)
	store(t, nc, "status.c1.engine", "status.c1.tool")
	p := history.NewReader(nc).Replay(history.Query{Conversation: "c1", Place: place(0, "tool", 2)})
	if got := drain(t, p, 200); !slices.Equal(got.sequences, []uint64{1}) || got.upTo != 2 {
		t.Errorf("first: %+v", got)
	}
	store(t, nc, "status.c2.engine", "status.c1.tool", "status.c1.engine", "status.c1.new")
	if got := drain(t, p, 200); !slices.Equal(got.sequences, []uint64{4, 5, 6}) || got.upTo != 6 {
		t.Errorf("then: %+v", got)
	}
}

func TestReplayDoesNotChangeTheCallersPlace(t *testing.T) {
	nc, st := startStream(t)
	store(t, nc, "status.c1.engine", "status.c1.tool")
	purgeUpTo(t, st, 2)
	at := place(0, "engine", 1)
	before := maps.Clone(at.Seen)
	drain(t, history.NewReader(nc).Replay(history.Query{Conversation: "c1", Place: at}), 200)
	if !maps.Equal(at.Seen, before) {
		t.Errorf("seen = %v, was %v", at.Seen, before)
	}
}

func TestReplaySince(t *testing.T) {
	nc, st := startStream(t)
	var times []time.Time
	for i := range 6 {
		seq := store(t, nc, []string{"status.c1.engine", "status.c2.engine"}[i%2])
		m, err := st.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, m.Time)
	}
	for _, c := range []struct {
		name  string
		since time.Time
		after uint64
		want  []uint64
	}{
		{"long ago", times[0].Add(-time.Hour), 0, []uint64{1, 3, 5}},
		{"before the server's calendar", time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC), 0, []uint64{1, 3, 5}},
		{"the very time of one", times[2], 0, []uint64{3, 5}},
		{"just after one", times[2].Add(1), 0, []uint64{5}},
		{"the time of another conversation's", times[1], 0, []uint64{3, 5}},
		{"earlier than after", times[0], 3, []uint64{5}},
		{"later than after", times[4], 1, []uint64{5}},
		{"after the last", times[5].Add(1), 0, nil},
		{"in a future that the server cannot count", time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC), 0, nil},
	} {
		got := drain(t, history.NewReader(nc).Replay(history.Query{Conversation: "c1", Since: c.since, Place: place(c.after)}), 200)
		if !slices.Equal(got.sequences, c.want) || got.upTo != 6 {
			t.Errorf("%s: %v up to %d, want %v", c.name, got.sequences, got.upTo, c.want)
		}
	}
}

// A category that was quiet for long must not make the replay read everything.
func TestAQuietCategoryDoesNotMakeItReadEverything(t *testing.T) {
	nc, _ := startStream(t)
	store(t, nc, "status.c1.info")
	for range 1000 {
		nc.Publish("status.c1.engine", []byte("{}"))
	}
	last := store(t, nc, "status.c1.engine")
	p := history.NewReader(nc).Replay(history.Query{Conversation: "c1", Place: place(1, "engine", int(last)-1)})
	if got := drain(t, p, 200); !slices.Equal(got.sequences, []uint64{last}) || got.batches != 1 {
		t.Errorf("%v in %d batches, want the one new status in one", got.sequences, got.batches)
	}
}

func TestReplayInPagesBringsEachOnce(t *testing.T) {
	nc, _ := startStream(t)
	var want []uint64
	for i := range 2500 {
		subject := fmt.Sprintf("status.c%d.cat%d", i%3, i%7)
		nc.Publish(subject, []byte("{}"))
		if i%3 == 1 {
			want = append(want, uint64(i)+1)
		}
	}
	nc.Flush()
	store(t, nc, "status.c9.end")
	for _, most := range []int{7, 200, 1000} {
		got := drain(t, history.NewReader(nc).Replay(history.Query{Conversation: "c1"}), most)
		if !slices.Equal(got.sequences, want) {
			t.Errorf("%d at a time: %d statuses, want %d", most, len(got.sequences), len(want))
		}
	}
	// From any place in between, with a new replay each time.
	var pages []uint64
	r := history.NewReader(nc)
	for after, done := uint64(0), false; !done; {
		b, err := r.Replay(history.Query{Conversation: "c1", Place: history.Place{After: after}}).Next(t.Context(), 11)
		if err != nil {
			t.Fatal(err)
		}
		pages, after, done = append(pages, sequences(b.Messages)...), b.UpTo, b.Done
	}
	if !slices.Equal(pages, want) {
		t.Errorf("page by page: %d statuses, want %d", len(pages), len(want))
	}
}

// A batch goes to a browser's queue as a whole, so it is bounded in bytes too. A
// deleted message is passed over.
func TestReplayOfLargeStatusesComesInSmallBatches(t *testing.T) {
	nc, st := startStream(t)
	text := bytes.Repeat([]byte("x"), 16<<10)
	const stored, deleted = 450, 100
	var want []uint64
	for i := range stored {
		storeMsg(t, nc, &nats.Msg{Subject: "status.c1.engine", Data: text[:1+i%2*(len(text)-1)]})
		if i+1 != deleted {
			want = append(want, uint64(i)+1)
		}
	}
	if err := st.DeleteMsg(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	r := history.NewReader(nc)
	r.ReadAlone()
	p := r.Replay(history.Query{Conversation: "c1"})
	var got []uint64
	for done := false; !done; {
		b, err := p.Next(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, m := range b.Messages {
			size += len(m.Data)
		}
		if limit := 128<<10 + len(text); size > limit || len(b.Messages) > history.MaxBatch {
			t.Fatalf("a batch has %d messages of %d bytes, more than %d", len(b.Messages), size, limit)
		}
		got, done = append(got, sequences(b.Messages)...), b.Done
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d statuses, want %d", len(got), len(want))
	}
}

func TestAPlaceAheadOfTheStream(t *testing.T) {
	nc, _ := startStream(t)
	r := history.NewReader(nc)
	for _, stored := range []int{0, 3} {
		for range stored {
			store(t, nc, "status.c1.engine")
		}
		for _, at := range []history.Place{place(4), place(0, "engine", 5), place(1<<63, "engine", 1)} {
			if b, err := r.Replay(history.Query{Conversation: "c1", Place: at}).Next(t.Context(), 10); !errors.Is(err, history.ErrAheadOfStream) {
				t.Errorf("%d stored, place %v: %+v, %v", stored, at, b, err)
			}
		}
	}
	if _, err := r.Replay(history.Query{Conversation: "c1", Place: place(3)}).Next(t.Context(), 10); err != nil {
		t.Errorf("the very last one: %v", err)
	}
}

func TestReplayWithoutTheStreamIsUnavailable(t *testing.T) {
	r := history.NewReader(startServer(t))
	if _, err := r.Replay(history.Query{Conversation: "c1"}).Next(t.Context(), 10); !errors.Is(err, history.ErrUnavailable) {
		t.Errorf("err = %v, want ErrUnavailable", err)
	}
}

// purgeUpTo drops everything below first, as retention does.
func purgeUpTo(t *testing.T, st jetstream.Stream, first uint64) {
	t.Helper()
	if err := st.Purge(t.Context(), jetstream.WithPurgeSequence(first)); err != nil {
		t.Fatal(err)
	}
}
