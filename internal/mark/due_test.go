package mark_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/logtest"
	"github.com/statuswire/statuswire/internal/mark"
)

// Each record that is written again without need is one more of the stream's bytes.
func TestOnlyWhatHasChangedIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, mark.Options{RewriteEvery: time.Minute})
		want := func(what string, n int) {
			t.Helper()
			if got := s.Due(); got != n {
				t.Fatalf("%s: %d keys are due, want %d", what, got, n)
			}
			s.Write()
		}
		h := open(t, s, key("alice", "1"))
		want("opened, with nothing to remember", 0)
		set(h, engineOf(1), 5)
		want("a first mark", 1)
		want("written", 0)
		set(h, engineOf(1), 5)
		want("the same again", 0)
		setN(h, engineOf(1), 5, 2)
		want("one subscription more", 1)
		set(h, engineOf(1), 6)
		want("further", 1)
		set(h, engineOf(2), 1)
		want("another subject", 1)
		h.Set(map[string]mark.Mark{engineOf(3): {}})
		want("the end of one that never was", 0)
		time.Sleep(time.Minute - time.Millisecond)
		want("not yet old", 0)
		time.Sleep(time.Millisecond)
		want("old", 1)
		h.Close()
		want("its connection has ended", 1)
		again := open(t, s, key("alice", "1"))
		want("it is back", 1)
		again.Set(map[string]mark.Mark{engineOf(1): {}, engineOf(2): {}})
		want("all its subscriptions have ended", 1)
		again.Close()
		s.Write()
		if st := s.Stats(); st.Keys != 0 || st.Bytes != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// The record of a key that has nothing any more has to be written over.
func TestWhatHasEndedIsWrittenOnceMore(t *testing.T) {
	s := newStore(t, mark.Options{})
	h := open(t, s, key("alice", "1"))
	if n := s.Write(); n != 0 {
		t.Fatalf("%d records of a connection without a mark", n)
	}
	set(h, engineOf(1), 5)
	if n := s.Write(); n != 1 {
		t.Fatalf("%d records", n)
	}
	h.Set(map[string]mark.Mark{engineOf(1): {}})
	if n := s.Write(); n != 1 {
		t.Fatalf("%d records of what the stream has to forget", n)
	}
	if n := s.Write(); n != 0 {
		t.Fatalf("%d records of what it has forgotten", n)
	}
}

// Of two tabs of one name one had never subscribed: when both had come back, the marks
// stayed for a third that there was not.
func TestAConnectionWithoutMarksDoesNotComeBackForAny(t *testing.T) {
	s := newStore(t, mark.Options{})
	empty := open(t, s, key("alice", "1"))
	h := open(t, s, key("alice", "1"))
	set(h, engineOf(1), 5)
	empty.Heard() // it is no older life of the other
	empty.Close()
	h.Close()
	next := open(t, s, key("alice", "1"))
	wantTaken(t, next, engineOf(1), 5)
	next.Set(map[string]mark.Mark{engineOf(1): {}})
	wantTaken(t, open(t, s, key("alice", "1")), engineOf(1), 0)
}

func TestTheBoundsAreWhatMayBe(t *testing.T) {
	measure := func(s *mark.Store) int {
		h := open(t, s, key("alice", "1"))
		set(h, engineOf(1), 5)
		if n := s.Stats().Refused; n != 0 {
			t.Errorf("%d are refused", n)
		}
		return s.Stats().Bytes
	}
	bytes := measure(newStore(t, mark.Options{}))
	if got := measure(newStore(t, mark.Options{MaxBytes: bytes, MaxKeys: 1})); got != bytes {
		t.Errorf("%d bytes, want %d", got, bytes)
	}
	small := newStore(t, mark.Options{MaxBytes: bytes - 1})
	set(open(t, small, key("alice", "1")), engineOf(1), 5)
	if n := small.Stats().Refused; n != 1 {
		t.Errorf("a byte too few: %d are refused", n)
	}
	one := newStore(t, mark.Options{MaxKeys: 1})
	open(t, one, key("alice", "1"))
	if one.Open(key("alice", "2")) != nil {
		t.Error("a key too many was taken")
	}
}

func TestOptionsAtTheirBounds(t *testing.T) {
	least := mark.Options{
		Keep: time.Millisecond, MaxKeys: 1, MaxBytes: 1, MaxAwayPerUser: 2,
		WriteEvery: time.Millisecond, RewriteEvery: time.Millisecond, MaxWriteRate: 1, Timeout: time.Millisecond,
	}
	if err := least.Validate(); err != nil {
		t.Error(err)
	}
	below := mark.Options{
		Keep: time.Millisecond - 1, MaxKeys: -1, MaxBytes: -1, MaxAwayPerUser: 1,
		WriteEvery: time.Millisecond - 1, RewriteEvery: -1, MaxWriteRate: -1, Timeout: time.Millisecond - 1,
	}
	err := below.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"Keep", "MaxKeys", "MaxBytes", "MaxAwayPerUser", "WriteEvery", "RewriteEvery", "MaxWriteRate", "Timeout"} {
		if !strings.Contains(err.Error(), "marks: "+name+" is ") {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

func TestAnOperatorHearsOfAStreamThatTakesNothingOnce(t *testing.T) {
	s := newServer(t)
	var log logtest.Log
	store, k := s.process(mark.Options{WriteEvery: 5 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	const text = "the marks cannot be written"
	h := open(t, store, key("alice", "1"))
	for i, failures := range []uint64{4, 8} {
		refuse(t, s, true)
		set(h, engineOf(1), uint64(5+i))
		eventually(t, "some failures", func() bool { return k.Stats().Failures >= failures })
		if n := log.Count(text); n != i+1 {
			t.Errorf("outage %d: it was logged %d times", i+1, n)
		}
		written := k.Stats().Written
		refuse(t, s, false)
		eventually(t, "it is written", func() bool { return k.Stats().Written > written })
	}
}

func TestAnOperatorHearsOfMarksThatCannotBeRead(t *testing.T) {
	s := newServer(t)
	var quiet logtest.Log
	_, k := s.process(mark.Options{Logger: slog.New(slog.NewTextHandler(&quiet, nil))})
	stop(t, k)
	if n := quiet.Count("level=WARN"); n != 0 {
		t.Errorf("nothing is wrong, and it was logged %d times", n)
	}
	js, err := jetstream.New(s.connect())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "marks.other", []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	var nonsense logtest.Log
	_, k = s.process(mark.Options{Logger: slog.New(slog.NewTextHandler(&nonsense, nil))})
	stop(t, k)
	if n := nonsense.Count("marks that make no sense"); n != 1 {
		t.Errorf("nonsense in the stream was logged %d times", n)
	}
	var gone logtest.Log
	store := newStore(t, mark.Options{Logger: slog.New(slog.NewTextHandler(&gone, nil)), Timeout: 100 * time.Millisecond})
	if k, err = mark.NewKeeper(s.connect(), "NO_SUCH_STREAM", store); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop(t, k)
	if n := gone.Count("the marks of an earlier process cannot be read"); n != 1 {
		t.Errorf("a stream that there is not was logged %d times", n)
	}
}
