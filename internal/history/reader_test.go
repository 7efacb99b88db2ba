package history_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/history"
)

func sequences(messages []history.Message) []uint64 {
	var s []uint64
	for _, m := range messages {
		s = append(s, m.Sequence)
	}
	return s
}

func TestSnapshotIsTheLastStatusOfEachCategoryInOrder(t *testing.T) {
	nc, _ := startStream(t)
	store(t, nc, "status.c1.tool", "status.c1.engine", "status.c2.engine", "status.c1.info", "status.c1.tool", "status.c2.tool")

	s, err := history.NewReader(nc).Snapshot(t.Context(), "c1")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sequences(s.Messages), []uint64{2, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("sequences = %v, want %v", got, want)
	}
	if s.UpToSequence != 6 {
		t.Errorf("UpToSequence = %d, want the stream's last, 6", s.UpToSequence)
	}
	m := s.Messages[2]
	if m.Subject != "status.c1.tool" || string(m.Data) != `{"text":"4"}` || time.Since(m.Time) > time.Minute {
		t.Errorf("last message = %+v", m)
	}
	if m.Header != nil {
		t.Errorf("header = %v, want none: direct get's own are not the publisher's", m.Header)
	}
}

func TestSnapshotOfAnEmptyConversationIsTrueUpToTheStreamsLast(t *testing.T) {
	nc, st := startStream(t)
	want := func(when string, upTo uint64) {
		t.Helper()
		s, err := history.NewReader(nc).Snapshot(t.Context(), "c1")
		if err != nil || s.UpToSequence != upTo || len(s.Messages) != 0 {
			t.Errorf("%s: snapshot = %+v, %v; want an empty one up to %d", when, s, err, upTo)
		}
	}
	want("nothing is stored", 0)
	store(t, nc, "status.other.engine", "status.other.tool", "status.another.engine")
	want("others have statuses", 3)
	if err := st.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	want("the newest of them is deleted", 3)
	if err := st.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("all are gone", 3)
}

func TestSnapshotLargerThanOneAnswerIsTrueAtOneSequence(t *testing.T) {
	nc, _ := startStream(t)
	const categories = 60 // of 64 KiB: four answers of 1 MiB
	text := bytes.Repeat([]byte("x"), 64<<10)
	for i := range categories {
		storeMsg(t, nc, &nats.Msg{Subject: fmt.Sprintf("status.c1.cat%d", i), Data: text})
	}
	// A writer that changes every category while pages are read.
	var writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				storeMsg(t, nc, &nats.Msg{Subject: fmt.Sprintf("status.c1.cat%d", i%categories), Data: text[:100]})
			}
		}
	})
	defer writer.Wait()
	defer close(stop)

	s, err := history.NewReader(nc).Snapshot(t.Context(), "c1")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range s.Messages {
		if m.Sequence > s.UpToSequence {
			t.Errorf("message %d is newer than the snapshot, %d", m.Sequence, s.UpToSequence)
		}
		if seen[m.Subject] {
			t.Errorf("%s is in the snapshot twice", m.Subject)
		}
		seen[m.Subject] = true
	}
	if len(seen) != categories {
		t.Errorf("snapshot has %d categories, want %d", len(seen), categories)
	}
	if !slices.IsSorted(sequences(s.Messages)) {
		t.Errorf("sequences %v are not in order", sequences(s.Messages))
	}
}

func TestHeadersOfThePublisherStayAndForgedOnesAreNotBelieved(t *testing.T) {
	nc, _ := startStream(t)
	m := nats.NewMsg("status.c1.engine")
	m.Header.Set("Nats-Msg-Id", "c1.engine.17")
	m.Header.Set("traceparent", "00-ab-cd-01")
	m.Header.Set("Nats-Sequence", "999")
	m.Header.Set("Nats-Subject", "status.other.engine")
	m.Data = []byte(`{"text":"hi"}`)
	storeMsg(t, nc, m)

	got, err := history.NewReader(nc).Batch(t.Context(), "status.c1.*", 0, 10)
	if err != nil || len(got) != 1 {
		t.Fatalf("Batch = %v, %v", got, err)
	}
	if got[0].Sequence != 1 || got[0].Subject != "status.c1.engine" {
		t.Errorf("sequence %d, subject %s: the publisher's were believed", got[0].Sequence, got[0].Subject)
	}
	want := nats.Header{"Nats-Msg-Id": {"c1.engine.17"}, "traceparent": {"00-ab-cd-01"}}
	if !maps.EqualFunc(got[0].Header, want, slices.Equal) {
		t.Errorf("header = %v, want %v", got[0].Header, want)
	}
}

func TestLastSequences(t *testing.T) {
	nc, _ := startStream(t)
	store(t, nc, "status.c1.tool", "status.c1.engine", "status.c2.engine", "status.c1.tool")
	for _, c := range []struct {
		subject string
		want    map[string]uint64
	}{
		{"status.c1.*", map[string]uint64{"status.c1.engine": 2, "status.c1.tool": 4}},
		{"status.c1.engine", map[string]uint64{"status.c1.engine": 2}},
		{"status.*.engine", map[string]uint64{"status.c1.engine": 2, "status.c2.engine": 3}},
		{"status.c9.*", map[string]uint64{}},
	} {
		got, upTo, err := history.NewReader(nc).LastSequences(t.Context(), c.subject)
		if err != nil || upTo != 4 || !maps.Equal(got, c.want) {
			t.Errorf("LastSequences(%s) = %v, %d, %v; want %v, 4", c.subject, got, upTo, err, c.want)
		}
	}
}

func TestTooManySubjectsIsAnErrorOfItsOwn(t *testing.T) {
	nc, _ := startStream(t)
	for i := range 1025 {
		nc.Publish(fmt.Sprintf("status.c%d.engine", i), []byte("{}"))
	}
	store(t, nc, "status.c0.engine")
	if _, _, err := history.NewReader(nc).LastSequences(t.Context(), "status.*.*"); !errors.Is(err, history.ErrTooManySubjects) {
		t.Errorf("err = %v, want ErrTooManySubjects", err)
	}
}

func TestWithoutTheStreamItIsUnavailable(t *testing.T) {
	r := history.NewReader(startServer(t))
	if _, err := r.Snapshot(t.Context(), "c1"); !errors.Is(err, history.ErrUnavailable) {
		t.Errorf("Snapshot: %v, want ErrUnavailable", err)
	}
	if _, err := r.Batch(t.Context(), "status.c1.*", 0, 9); !errors.Is(err, history.ErrUnavailable) {
		t.Errorf("Batch: %v, want ErrUnavailable", err)
	}
}

func TestARefusalKeepsTheServersWords(t *testing.T) {
	nc := startServer(t)
	sub, err := nc.Subscribe("$JS.API.DIRECT.GET.STATUS", func(m *nats.Msg) {
		m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"408"}, "Description": {"Bad Request"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	_, err = history.NewReader(nc).Batch(t.Context(), "status.c1.*", 0, 9)
	var refused *history.RefusedError
	if !errors.As(err, &refused) || refused.Code != 408 || refused.Description != "Bad Request" {
		t.Errorf("err = %v, want RefusedError 408 Bad Request", err)
	}
}

func TestAReaderGivesUpWithItsContext(t *testing.T) {
	nc := startServer(t)
	sub, err := nc.SubscribeSync("$JS.API.DIRECT.GET.STATUS") // hears and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := history.NewReader(nc).Batch(ctx, "status.c1.*", 0, 9); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want the context's", err)
	}
	if n := nc.NumSubscriptions(); n != 1 {
		t.Errorf("%d subscriptions are left, want the test's one", n)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	nc, _ := startStream(b)
	for i := range 20_000 {
		nc.Publish(fmt.Sprintf("status.c%d.cat%d", i%100, i%600/100), bytes.Repeat([]byte("x"), 170))
	}
	store(b, nc, "status.c7.engine")
	r := history.NewReader(nc)
	b.ReportAllocs()
	for b.Loop() {
		if s, err := r.Snapshot(b.Context(), "c7"); err != nil || len(s.Messages) != 7 {
			b.Fatal(len(s.Messages), err)
		}
	}
}

// BenchmarkOneMissed is what the repair of a hole and a short reconnect read.
func BenchmarkOneMissed(b *testing.B) {
	nc, _ := startStream(b)
	var seq uint64
	for range 100 {
		seq = store(b, nc, "status.c1.engine", "status.c2.engine")
	}
	r := history.NewReader(nc)
	q := history.Query{Conversation: "c1", Place: history.Place{After: seq - 3}}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := r.Replay(q).Next(b.Context(), 200); err != nil || len(got.Messages) != 1 {
			b.Fatal(got, err)
		}
	}
}
