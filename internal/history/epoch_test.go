package history_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/history"
)

// anew deletes the stream and makes it again.
func anew(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	old, err := js.Stream(t.Context(), "STATUS")
	if err != nil {
		t.Fatal(err)
	}
	config := old.CachedInfo().Config
	// The server drops the old one's files behind its answer, and may find them when
	// it makes the new one, or be in their way (2.15.2).
	for deadline := time.Now().Add(10 * time.Second); ; {
		if err := js.DeleteStream(t.Context(), "STATUS"); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Fatal(err)
		}
		st, err := js.CreateStream(t.Context(), config)
		if err == nil && st.CachedInfo().State.LastSeq == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the stream cannot be made anew: %v", err)
		}
	}
}

// batch reads the first batch behind the place.
func batch(t *testing.T, r *history.Reader, at history.Place) history.Batch {
	t.Helper()
	b, err := r.Replay(history.Query{Conversation: "c1", Place: at}).Next(t.Context(), 100)
	if err != nil {
		t.Fatalf("%+v: %v", at, err)
	}
	return b
}

// The new stream has more than the old one had: no sequence tells.
func TestAPlaceInAStreamThatWasMadeAnew(t *testing.T) {
	nc, _ := startStream(t)
	r := history.NewReader(nc)
	last := store(t, nc, "status.c1.engine", "status.c1.engine", "status.c1.tool")
	known := batch(t, r, history.Place{})
	if known.Epoch == "" || known.UpTo != last {
		t.Fatalf("first %+v", known)
	}
	at := history.Place{Epoch: known.Epoch, After: known.UpTo}
	store(t, nc, "status.c1.info")
	if b := batch(t, r, at); !slices.Equal(sequences(b.Messages), []uint64{4}) || b.Epoch != known.Epoch {
		t.Fatalf("the same stream: %+v", b)
	}
	underway := r.Replay(history.Query{Conversation: "c1"})
	if _, err := underway.Next(t.Context(), 1); err != nil {
		t.Fatal(err)
	}

	anew(t, nc)
	for range 6 {
		store(t, nc, "status.c1.engine")
	}
	for name, p := range map[string]*history.Replay{
		"behind the old place":    r.Replay(history.Query{Conversation: "c1", Place: at}),
		"with nothing but epoch":  r.Replay(history.Query{Conversation: "c1", Place: history.Place{Epoch: known.Epoch}}),
		"that had begun, in c1":   underway,
		"of what is not new, old": r.Replay(history.Query{Conversation: "c2", Place: at}),
	} {
		for range 2 { // and not the second time either
			b, err := p.Next(t.Context(), 100)
			if !errors.Is(err, history.ErrOtherEpoch) || !errors.Is(err, history.ErrAheadOfStream) {
				t.Errorf("%s: %+v, %v", name, b, err)
			}
		}
	}
	// Who names no epoch gets what is there, and its epoch.
	b := batch(t, r, history.Place{After: 4})
	if !slices.Equal(sequences(b.Messages), []uint64{5, 6}) || b.Epoch == "" || b.Epoch == known.Epoch {
		t.Errorf("without an epoch %+v, the old one was %s", b, known.Epoch)
	}
	s, err := r.Snapshot(t.Context(), "c1")
	if err != nil || s.Epoch != b.Epoch {
		t.Errorf("snapshot of %s, a replay of %s; %v", s.Epoch, b.Epoch, err)
	}
}

// A snapshot that says a later epoch than it is of would hide the new stream's
// beginning; the other way round it is only read twice.
func TestASnapshotIsNeverOfAnOlderEpochThanItSays(t *testing.T) {
	nc, _ := startStream(t)
	r := history.NewReader(nc)
	store(t, nc, "status.c1.engine")
	old, err := r.Snapshot(t.Context(), "c1")
	if err != nil {
		t.Fatal(err)
	}
	anew(t, nc)
	store(t, nc, "status.c1.tool", "status.c1.tool")
	s, err := r.Snapshot(t.Context(), "c1")
	if err != nil || s.UpToSequence != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	if s.Epoch != old.Epoch {
		batch(t, r, history.Place{Epoch: s.Epoch, After: s.UpToSequence})
	} else if _, err := r.Replay(history.Query{Conversation: "c1", Place: history.Place{Epoch: s.Epoch, After: 2}}).Next(t.Context(), 10); !errors.Is(err, history.ErrOtherEpoch) {
		t.Errorf("the next question is answered with %v", err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for s.Epoch == old.Epoch {
		if time.Now().After(deadline) {
			t.Fatal("the new epoch is never said")
		}
		if s, err = r.Snapshot(t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheEpochOutlivesTheServerAndItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	run := func(use func(nc *nats.Conn, js jetstream.JetStream)) {
		s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: dir, DontListen: true, NoSigs: true, NoLog: true})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		defer func() { s.Shutdown(); s.WaitForShutdown() }()
		if !s.ReadyForConnections(10 * time.Second) {
			t.Fatal("server is not ready")
		}
		nc := connectTo(t, s)
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		use(nc, js)
	}
	config := jetstream.StreamConfig{Name: "STATUS", Subjects: []string{"status.*.*"}, AllowDirect: true}
	var was string
	run(func(nc *nats.Conn, js jetstream.JetStream) {
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		was = batch(t, history.NewReader(nc), history.Place{}).Epoch
		config.MaxMsgs = 7
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		if now := batch(t, history.NewReader(nc), history.Place{}).Epoch; now != was || now == "" {
			t.Errorf("another configuration: epoch %q, it was %q", now, was)
		}
	})
	run(func(nc *nats.Conn, _ jetstream.JetStream) {
		if now := batch(t, history.NewReader(nc), history.Place{}).Epoch; now != was {
			t.Errorf("another run: epoch %q, it was %q", now, was)
		}
	})
}
