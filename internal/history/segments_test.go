package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// wiretap hears what is asked of the stream.
type wiretap struct {
	nc   *nats.Conn
	asks chan *nats.Msg
}

func listen(t *testing.T, nc *nats.Conn) wiretap {
	t.Helper()
	w := wiretap{nc, make(chan *nats.Msg, 100_000)}
	sub, err := nc.ChanSubscribe("$JS.API.DIRECT.GET.STATUS", w.asks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sub.Unsubscribe() })
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return w
}

// batches counts the batches that were asked for before now: those with a filter,
// and for each sequence those without one that begin there.
func (w wiretap) batches(t *testing.T) (filtered int, whole map[uint64]int) {
	t.Helper()
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	whole = map[uint64]int{}
	for range len(w.asks) {
		var a ask
		switch err := json.Unmarshal((<-w.asks).Data, &a); {
		case err != nil:
			t.Fatal(err)
		case a.Batch == 0:
		case a.NextFor == "":
			whole[a.Seq]++
		default:
			filtered++
		}
	}
	return filtered, whole
}

// interleave stores n statuses of so many conversations in turn, one behind a
// first status of somebody else.
func interleave(t *testing.T, nc *nats.Conn, conversations, n int) (last uint64) {
	t.Helper()
	store(t, nc, "status.other.engine")
	for i := range n - 1 {
		if err := nc.Publish(fmt.Sprintf("status.c%d.engine", i%conversations), fmt.Appendf(nil, `{"text":"%d"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	nc.Flush()
	return store(t, nc, fmt.Sprintf("status.c%d.engine", (n-1)%conversations))
}

// want are the sequences of conversation c of those that interleave stores.
func want(conversations, n, c int) (seqs []uint64) {
	for i := c; i < n; i += conversations {
		seqs = append(seqs, uint64(i)+2)
	}
	return seqs
}

func TestManyReplaysReadTheirRangeOnce(t *testing.T) {
	nc, server := startServerWith(t, true)
	addStream(t, nc)
	const conversations, n = 100, 3000
	last := interleave(t, nc, conversations, n)
	w := listen(t, nc)
	r := history.NewReader(connectTo(t, server), connectTo(t, server))
	r.ShareAtOnce()
	r.KeepSegments(1<<30, time.Hour)
	var done sync.WaitGroup
	for i := range 200 {
		done.Go(func() {
			c := i % conversations
			got := drain(t, r.Replay(history.Query{Conversation: status.ConversationID(fmt.Sprint("c", c)), Place: place(1)}), 200)
			if !slices.Equal(got.sequences, want(conversations, n, c)) || got.upTo != last {
				t.Errorf("c%d: %v up to %d", c, got.sequences, got.upTo)
			}
		})
	}
	done.Wait()
	filtered, whole := w.batches(t)
	if filtered != 0 || len(whole) != n/200+1 {
		t.Errorf("%d filtered reads, and those of %d segments; want none, and %d", filtered, len(whole), n/200+1)
	}
	for from, times := range whole {
		if times != 1 {
			t.Errorf("what begins at %d was read %d times", from, times)
		}
	}
}

func TestALoneReplayReadsNothingOfOthers(t *testing.T) {
	nc, server := startServerWith(t, true)
	addStream(t, nc)
	const conversations, n = 10, 3000
	interleave(t, nc, conversations, n)
	w := listen(t, nc)
	r := history.NewReader(connectTo(t, server))
	got := drain(t, r.Replay(history.Query{Conversation: "c3", Place: place(1)}), 200)
	if !slices.Equal(got.sequences, want(conversations, n, 3)) {
		t.Errorf("%v", got.sequences)
	}
	if filtered, whole := w.batches(t); len(whole) > 0 || filtered == 0 {
		t.Errorf("%d filtered reads, others %v", filtered, whole)
	}
}

func TestWhenManyHaveAskedTheRangeIsShared(t *testing.T) {
	nc, server := startServerWith(t, true)
	addStream(t, nc)
	const conversations, n = 100, 1000
	interleave(t, nc, conversations, n)
	w := listen(t, nc)
	r := history.NewReader(connectTo(t, server), connectTo(t, server))
	r.KeepSegments(1<<30, time.Hour)
	for i := range 3 * conversations {
		c := i % conversations
		got := drain(t, r.Replay(history.Query{Conversation: status.ConversationID(fmt.Sprint("c", c)), Place: place(1)}), 200)
		if !slices.Equal(got.sequences, want(conversations, n, c)) {
			t.Errorf("c%d: %v", c, got.sequences)
		}
	}
	if filtered, whole := w.batches(t); filtered < 10 || filtered > conversations || len(whole) < n/200 {
		t.Errorf("%d filtered reads, others %v", filtered, whole)
	}
}

func TestARangeThatIsTooLongIsNotShared(t *testing.T) {
	nc, server := startServerWith(t, true)
	addStream(t, nc)
	const conversations, n = 10, 3000
	interleave(t, nc, conversations, n)
	w := listen(t, nc)
	r := history.NewReader(connectTo(t, server))
	r.ShareAtOnce()
	r.KeepSegments(n*100, time.Hour) // no message takes so little
	got := drain(t, r.Replay(history.Query{Conversation: "c3", Place: place(1)}), 200)
	if !slices.Equal(got.sequences, want(conversations, n, 3)) {
		t.Errorf("%v", got.sequences)
	}
	// Of the last piece of the way it may.
	if _, whole := w.batches(t); whole[1] > 0 || whole[201] > 0 {
		t.Errorf("it read all of %v", whole)
	}
}

func TestSegmentsAreBounded(t *testing.T) {
	nc, server := startServerWith(t, true)
	addStream(t, nc)
	const conversations, each, limit = 30, 150, 200 << 10
	for c := range conversations {
		for range each {
			nc.Publish(fmt.Sprintf("status.c%d.engine", c), []byte(strings.Repeat("x", 200)))
		}
	}
	nc.Flush()
	store(t, nc, "status.other.engine")
	r := history.NewReader(connectTo(t, server), connectTo(t, server))
	r.ShareAtOnce()
	r.KeepSegments(limit, 2*time.Second)
	var most atomic.Int64
	var done sync.WaitGroup
	for i := range 4 * conversations {
		done.Go(func() {
			c := i % conversations
			q := history.Query{Conversation: status.ConversationID(fmt.Sprint("c", c)), Place: place(uint64(c * each))}
			got := drain(t, r.Replay(q), 200)
			if len(got.sequences) != each {
				t.Errorf("c%d: %d statuses", c, len(got.sequences))
			}
			if counted, held := r.SegmentBytes(); counted != held || held > limit {
				t.Errorf("%d bytes are held and %d counted, at most %d may be", held, counted, limit)
			} else {
				most.Store(max(most.Load(), int64(held)))
			}
		})
	}
	done.Wait()
	if most.Load() < limit/2 {
		t.Errorf("no more than %d bytes were held: nothing was bounded", most.Load())
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if counted, held := r.SegmentBytes(); counted == 0 && held == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("what nobody needs is kept")
		}
	}
}

// A conversation that is deleted takes its statuses with it, and a segment must
// not bring them back for long, not even when it is in use all the time.
func TestWhatIsPurgedIsNotHandedOutForLong(t *testing.T) {
	nc, st := startStream(t)
	const life = 300 * time.Millisecond
	old := store(t, nc, "status.c2.engine", "status.c1.engine", "status.c1.engine", "status.c1.tool", "status.c2.engine")
	r := history.NewReader(nc)
	r.ShareAtOnce()
	r.KeepSegments(1<<20, life)
	all := func() []uint64 {
		t.Helper()
		return drain(t, r.Replay(history.Query{Conversation: "c1", Place: place(1)}), 200).sequences
	}
	if got := all(); !slices.Equal(got, []uint64{2, 3, 4}) {
		t.Fatal(got)
	}
	if err := st.Purge(t.Context(), jetstream.WithPurgeSubject("status.c1.*")); err != nil {
		t.Fatal(err)
	}
	purged := time.Now()
	if got := all(); len(got) > 0 {
		t.Errorf("%v came of a conversation that has nothing", got)
	}
	for again := 0; ; again++ {
		store(t, nc, "status.c1.engine") // somebody has made it anew
		begun := time.Now()
		got := all()
		if !begun.After(purged.Add(life)) {
			continue
		}
		if again == 0 || len(got) != again+1 || got[0] != old+1 {
			t.Errorf("%v came %v after the purge, of %d new ones", got, begun.Sub(purged), again+1)
		}
		return
	}
}

func TestSegmentsDoNotSurviveTheirStream(t *testing.T) {
	nc, _ := startStream(t)
	r := history.NewReader(nc)
	r.ShareAtOnce()
	r.KeepSegments(1<<20, time.Hour)
	for stream := range 3 {
		if stream > 0 {
			anew(t, nc)
		}
		for range 3 + stream { // the sequences of the one before, and more
			storeMsg(t, nc, &nats.Msg{Subject: "status.c1.engine", Data: fmt.Append(nil, stream)})
		}
		for range 2 {
			b, err := r.Replay(history.Query{Conversation: "c1"}).Next(t.Context(), 200)
			if err != nil || len(b.Messages) != 3+stream || !b.Done {
				t.Fatalf("%+v, %v", b, err)
			}
			for _, m := range b.Messages {
				if string(m.Data) != fmt.Sprint(stream) {
					t.Errorf("message %d is of stream %s, not of %d", m.Sequence, m.Data, stream)
				}
			}
		}
	}
}

func TestNobodySharesAHeader(t *testing.T) {
	nc, _ := startStream(t)
	for range 50 {
		storeMsg(t, nc, &nats.Msg{Subject: "status.c1.engine", Header: nats.Header{"X-One": {"1"}, "X-Three": {"1", "2", "3"}}})
	}
	r := history.NewReader(nc)
	r.ShareAtOnce()
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			b, err := r.Replay(history.Query{Conversation: "c1"}).Next(t.Context(), 200)
			if err != nil || len(b.Messages) != 50 {
				t.Error(len(b.Messages), err)
			}
			for _, m := range b.Messages {
				if len(m.Header) != 2 || len(m.Header["X-Three"]) != 3 {
					t.Errorf("header = %v", m.Header)
				}
				m.Header.Set("X-One", fmt.Sprint(i))
				m.Header.Add("X-Three", fmt.Sprint(i))
				m.Header.Set("X-New", fmt.Sprint(i))
			}
		})
	}
	done.Wait()
}

// Who reads a segment for all may go; the others then read it themselves, and
// each waits only as long as it wants to.
func TestWhoWaitsForASegmentDoesNotDependOnItsReader(t *testing.T) {
	nc, _ := startServerWith(t, false)
	f := &replica{holds: 5, says: 5, held: make(chan *nats.Msg, 10)}
	f.serve(t, nc)
	r := history.NewReader(nc)
	r.ShareAtOnce()
	replay := func(ctx context.Context) chan error {
		err := make(chan error, 1)
		go func() { // ends with ctx at the latest
			b, e := r.Replay(history.Query{Conversation: "c1"}).Next(ctx, 200)
			if e == nil && len(b.Messages) != 5 {
				e = fmt.Errorf("%+v", b)
			}
			err <- e
		}()
		return err
	}
	first, leave := context.WithCancel(t.Context())
	reader := replay(first)
	<-f.held // and is not answered
	impatient, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	second, third := replay(impatient), replay(t.Context())
	if err := <-second; err == nil || impatient.Err() == nil {
		t.Errorf("who has no time: %v", err)
	}
	select {
	case <-f.held:
		t.Fatal("the segment is read twice at the same time")
	default:
	}
	leave()
	if err := <-reader; err == nil {
		t.Error("who has left got an answer")
	}
	f.answer(<-f.held)
	if err := <-third; err != nil {
		t.Error(err)
	}
}
