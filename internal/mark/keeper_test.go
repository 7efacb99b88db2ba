package mark_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/mark"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// server is a real server with the stream MARKS.
type server struct {
	t      testing.TB
	engine *engine.Engine
	dir    string
	keys   *keys.Set
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir()}
	var err error
	if s.keys, err = keys.Load(s.dir); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) start() {
	s.t.Helper()
	e, err := engine.New(engine.Options{StoreDir: s.dir, Listen: "127.0.0.1:0", Keys: s.keys})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	s.engine = e
}

func (s *server) stop() { _ = s.engine.Stop(context.Background()) }

func (s *server) connect() *nats.Conn {
	s.t.Helper()
	nc, err := s.engine.Connect(engine.PartMarks)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// process is a store and its keeper: what a process of ours has.
func (s *server) process(opts mark.Options) (*mark.Store, *mark.Keeper) {
	s.t.Helper()
	if opts.WriteEvery == 0 {
		opts.WriteEvery = time.Hour // only when it ends
	}
	store := newStore(s.t, opts)
	k, err := mark.NewKeeper(s.connect(), engine.StreamMarks, store)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := k.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = k.Stop(context.Background()) })
	return store, k
}

func stop(t testing.TB, k *mark.Keeper) {
	t.Helper()
	if err := k.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func TestMarksOutliveTheProcess(t *testing.T) {
	s := newServer(t)
	store, k := s.process(mark.Options{})
	h := open(t, store, key("alice", "1"))
	h.Set(map[string]mark.Mark{
		engineOf(1):   {Place: mark.Place{After: 9}, Subscriptions: 2},
		"status.c1.*": {Place: mark.Place{Epoch: "d9fdx0sj3k3z", After: 3, Seen: map[string]uint64{"status.c1.tool": 8, "status.c1.engine": 9}}, Subscriptions: 1},
		"status.c2.>": {Place: mark.Place{After: 4}, Subscriptions: 1},
	})
	h.Close()
	for range 2 { // two tabs of one name
		twin := open(t, store, key("the user = \"ä\"", "2"))
		set(twin, engineOf(1), 5)
		twin.Heard()
		defer twin.Close()
	}
	stop(t, k)
	stop(t, k)
	s.stop()
	s.start()

	store, k = s.process(mark.Options{})
	if got := k.Stats().Restored; got != 2 {
		t.Fatalf("%d keys restored", got)
	}
	next := open(t, store, key("alice", "1"))
	wantTaken(t, next, engineOf(1), 9, 9, 0)
	wantTaken(t, next, "status.c2.>", 4)
	p, ok := next.Take("status.c1.*")
	if !ok || p.Epoch != "d9fdx0sj3k3z" || p.After != 3 || len(p.Seen) != 2 || p.Seen["status.c1.tool"] != 8 || p.Seen["status.c1.engine"] != 9 {
		t.Fatalf("the wildcard goes on from %v (%v)", p, ok)
	}
	for range 2 {
		twin := open(t, store, key("the user = \"ä\"", "2"))
		wantTaken(t, twin, engineOf(1), 5)
		set(twin, engineOf(1), 50)
	}
}

func TestAKilledProcessLosesOnlyWhatItDidNotWrite(t *testing.T) {
	s := newServer(t)
	store, k := s.process(mark.Options{WriteEvery: 10 * time.Millisecond})
	wrote := func(what string) {
		t.Helper()
		before := k.Stats().Written
		eventually(t, what+" is written", func() bool { return k.Stats().Written > before })
	}
	a, b := open(t, store, key("alice", "1")), open(t, store, key("alice", "2"))
	set(a, engineOf(1), 5)
	wrote("a mark")
	set(b, engineOf(1), 6)
	set(b, engineOf(2), 6)
	wrote("another one")
	set(a, engineOf(1), 7)
	wrote("the first one again")
	b.Set(map[string]mark.Mark{engineOf(1): {}})
	wrote("what was forgotten")
	c := open(t, store, key("alice", "3"))
	set(c, engineOf(1), 5)
	wrote("a third")
	c.Set(map[string]mark.Mark{engineOf(1): {}})
	c.Close()
	wrote("that nothing of it is left")
	eventually(t, "it is forgotten", func() bool { return store.Stats().Keys == 2 })

	// The next process starts while this one has said nothing of its end.
	next, _ := s.process(mark.Options{})
	if st := next.Stats(); st.Keys != 2 || st.Away != 2 {
		t.Fatalf("%+v", st)
	}
	wantTaken(t, open(t, next, key("alice", "1")), engineOf(1), 7)
	h := open(t, next, key("alice", "2"))
	wantTaken(t, h, engineOf(1), 0)
	wantTaken(t, h, engineOf(2), 6)
}

func TestWhatDoesNotChangeIsWrittenAgain(t *testing.T) {
	s := newServer(t)
	store, k := s.process(mark.Options{WriteEvery: 5 * time.Millisecond, RewriteEvery: 20 * time.Millisecond})
	open(t, store, key("alice", "nothing to write"))
	h := open(t, store, key("alice", "1"))
	set(h, engineOf(1), 5)
	eventually(t, "five times", func() bool { return k.Stats().Written >= 5 })
}

func TestWhatTheStreamDoesNotTakeIsWrittenLater(t *testing.T) {
	s := newServer(t)
	store, k := s.process(mark.Options{WriteEvery: 10 * time.Millisecond})
	stream := streamOf(t, s)
	refuse(t, s, true)
	h := open(t, store, key("alice", "1"))
	set(h, engineOf(1), 5)
	eventually(t, "a failure", func() bool { return k.Stats().Failures > 1 })
	if got := k.Stats().Written; got != 0 {
		t.Fatalf("%d written", got)
	}
	refuse(t, s, false)
	eventually(t, "it is written", func() bool { return k.Stats().Written == 1 })
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != 1 {
		t.Fatalf("%+v %v", info, err)
	}
}

func TestManyMarksGoOutInMessagesOfBoundedSize(t *testing.T) {
	s := newServer(t)
	store, k := s.process(mark.Options{})
	const sockets, subjects = 2000, 10
	for i := range sockets {
		h := open(t, store, key(fmt.Sprintf("0190f3c1-6a7e-7c1b-8f4d-%012d", i), fmt.Sprint(i)))
		marks := map[string]mark.Mark{}
		for c := range subjects {
			marks[fmt.Sprintf("status.7d1f0c52-9b1e-4f0e-a9a5-%012d.%s", i, categories[c])] =
				mark.Mark{Place: mark.Place{After: uint64(12_000_000 + i*subjects + c)}, Subscriptions: 1}
		}
		h.Set(marks)
	}
	begun := time.Now()
	stop(t, k)
	st := k.Stats()
	stream := streamOf(t, s)
	info := stream.CachedInfo()
	t.Logf("%d connections of %d subjects: %d messages, %d bytes, %v", sockets, subjects, info.State.Msgs, st.Bytes, time.Since(begun))
	if least := st.Bytes/(256<<10) + 1; info.State.Msgs < least || info.State.Msgs > least+1 || st.Written != sockets {
		t.Fatalf("%d messages for %d bytes, %d records", info.State.Msgs, st.Bytes, st.Written)
	}
	if st.Bytes/sockets > 512 {
		t.Errorf("%d bytes a connection", st.Bytes/sockets)
	}
	begun = time.Now()
	_, k = s.process(mark.Options{})
	t.Logf("read back in %v; in memory %+v", time.Since(begun), store.Stats())
	if got := k.Stats().Restored; got != sockets {
		t.Fatalf("%d restored", got)
	}
}

var categories = []string{"engine", "tool", "workflow", "progress", "error", "info", "custom_a", "custom_b", "custom_c", "custom_d"}

// operator reaches the stream as an operator does.
func operator(t testing.TB, s *server) jetstream.JetStream {
	t.Helper()
	nc, err := s.engine.Connect(engine.PartStateStreams)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func streamOf(t testing.TB, s *server) jetstream.Stream {
	t.Helper()
	stream, err := operator(t, s).Stream(t.Context(), engine.StreamMarks)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// refuse has the stream take nothing, or something again.
func refuse(t testing.TB, s *server, yes bool) {
	t.Helper()
	c := streamOf(t, s).CachedInfo().Config
	c.MaxMsgSize = -1
	if yes {
		c.MaxMsgSize = 1
	}
	if _, err := operator(t, s).UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// A kill must not leave a gap behind a subscription that has just begun.
func TestTheFirstMarkOfASubjectIsWrittenSoon(t *testing.T) {
	s := newServer(t)
	store, k := s.process(mark.Options{}) // writes nothing else
	written := func(keys uint64) {
		t.Helper()
		eventually(t, "it is written", func() bool { return k.Stats().Written == keys })
	}
	h := open(t, store, key("alice", "1"))
	set(h, engineOf(1), 5)
	written(1)
	set(h, engineOf(1), 6) // can wait
	set(h, engineOf(2), 7)
	written(2)
	set(h, engineOf(2), 8)

	next, again := s.process(mark.Options{})
	h = open(t, next, key("alice", "1"))
	for i, place := range []uint64{6, 7} {
		wantTaken(t, h, engineOf(i+1), place)
		set(h, engineOf(i+1), 9) // was known before
	}
	set(open(t, next, key("alice", "2")), engineOf(1), 1)
	eventually(t, "it is written", func() bool { return again.Stats().Written > 0 })
	if n := again.Stats().Written; n != 1 {
		t.Errorf("%d keys were written", n)
	}
}
