package mark_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/mark"
)

func TestANameThatIsNoUniqueIDIsNotResumable(t *testing.T) {
	for _, c := range []struct {
		name string
		want bool
	}{
		{"0b0a5ac8-8d3b-4b0e-9a0f-2b5a3a6f2c11", true},
		{"abcdefghijklmnopqrst", true},
		{strings.Repeat("x", mark.MaxNameBytes), true},
		{"", false},
		{"abcdefghijklmnopqrs", false},
		{strings.Repeat("x", mark.MaxNameBytes+1), false},
		{"NATS CLI Version 0.3.0", false},
		{"abcdefghijklmnopqrst\n", false},
		{"äbcdefghijklmnopqrst", false},
	} {
		if got := mark.Resumable(c.name); got != c.want {
			t.Errorf("%q: %v", c.name, got)
		}
	}
}

func TestTheNextConnectionGoesOnWhereTheLastOneWas(t *testing.T) {
	s := newStore(t, mark.Options{})
	h := open(t, s, key("alice", "1"))
	set(h, engineOf(1), 7)
	h.Set(map[string]mark.Mark{
		engineOf(1):     {Place: mark.Place{After: 9}, Subscriptions: 1},
		"status.c2.*":   {Place: mark.Place{After: 3, Seen: map[string]uint64{"status.c2.tool": 8}}, Subscriptions: 1},
		"status.c3.>":   {Place: mark.Place{After: 1}, Subscriptions: 1},
		"status.gone.*": {Place: mark.Place{After: 2}, Subscriptions: 1},
	})
	h.Set(map[string]mark.Mark{"status.gone.*": {}})
	h.Close()
	h.Close()

	for _, other := range []mark.Key{key("bob", "1"), key("alice", "2")} {
		wantTaken(t, open(t, s, other), engineOf(1), 0)
	}
	next := open(t, s, key("alice", "1"))
	wantTaken(t, next, engineOf(1), 9, 0)
	wantTaken(t, next, "status.gone.*", 0)
	if p, ok := next.Take("status.c2.*"); !ok || p.After != 3 || p.Seen["status.c2.tool"] != 8 {
		t.Fatalf("the wildcard goes on from %v (%v)", p, ok)
	}
	next.Set(map[string]mark.Mark{"status.c2.*": {}})
	// What this one took and what it did not subscribe to yet: nothing is lost.
	set(next, engineOf(1), 9)
	next.Close()
	third := open(t, s, key("alice", "1"))
	wantTaken(t, third, engineOf(1), 9)
	wantTaken(t, third, "status.c3.>", 1)
	wantTaken(t, third, "status.c2.*", 0) // it had ended
}

func TestAsManySubscriptionsGoOnAsThereWere(t *testing.T) {
	s := newStore(t, mark.Options{})
	h := open(t, s, key("alice", "1"))
	setN(h, engineOf(1), 5, 2)
	h.Close()
	next := open(t, s, key("alice", "1"))
	wantTaken(t, next, engineOf(1), 5)
	set(next, engineOf(1), 5)
	next.Close() // cut before the second one was back
	third := open(t, s, key("alice", "1"))
	wantTaken(t, third, engineOf(1), 5, 5, 0)
}

// Seen under load: the browser was cut while its SUB waited, came back, and the
// statuses of that one subscription began from now.
func TestAMarkIsThereWhileASubscriptionIsBeingMade(t *testing.T) {
	s := newStore(t, mark.Options{})
	h := open(t, s, key("alice", "1"))
	setN(h, engineOf(1), 5, 2)
	h.Close()
	for _, c := range []struct {
		name   string
		become func(*mark.Holder)
		want   []uint64
	}{
		{"and the next connection comes meanwhile", func(*mark.Holder) {}, []uint64{5, 5, 0}},
		{"and its connection ends meanwhile", func(h *mark.Holder) { h.Close() }, []uint64{5, 5, 0}},
		{"and is made", func(h *mark.Holder) { set(h, engineOf(1), 5) }, []uint64{5, 5, 0}},
		{"and ends at once", func(h *mark.Holder) { h.Leave(engineOf(1), mark.Place{After: 5}) }, []uint64{5, 5, 0}},
		{"and is refused", func(h *mark.Holder) { h.Set(map[string]mark.Mark{engineOf(1): {}}) }, []uint64{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			making := open(t, s, key("alice", "1"))
			wantTaken(t, making, engineOf(1), 5)
			c.become(making)
			next := open(t, s, key("alice", "1"))
			making.Close()
			wantTaken(t, next, engineOf(1), c.want...)
			setN(next, engineOf(1), 5, 2)
			next.Close()
		})
	}
}

func TestAMarkIsKeptForTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, mark.Options{})
		h := open(t, s, key("alice", "1"))
		set(h, engineOf(1), 5)
		time.Sleep(time.Hour) // while the connection is open it does not age
		h.Close()
		time.Sleep(2*time.Minute - time.Millisecond)
		next := open(t, s, key("alice", "1"))
		time.Sleep(time.Millisecond) // taken over in time, and not subscribed to
		wantTaken(t, next, engineOf(1), 0)
		set(next, engineOf(2), 6)
		next.Close()
		time.Sleep(2 * time.Minute)
		wantTaken(t, open(t, s, key("alice", "1")), engineOf(2), 0)
		if st := s.Stats(); st.Keys != 1 || st.Away != 0 || st.Forgotten != 0 {
			t.Fatalf("%+v", st)
		}
	})
}

func TestWhatASecondCutFindsIsNotKeptForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, mark.Options{})
		h := open(t, s, key("alice", "1"))
		set(h, engineOf(1), 5)
		h.Close()
		for range 10 { // the page came back and left that subject out
			time.Sleep(15 * time.Second)
			h := open(t, s, key("alice", "1"))
			set(h, engineOf(2), 6)
			h.Close()
		}
		next := open(t, s, key("alice", "1"))
		wantTaken(t, next, engineOf(1), 0)
		wantTaken(t, next, engineOf(2), 6)
	})
}

func TestANewConnectionCopiesFromOneWhoseEndWasNotSeen(t *testing.T) {
	s := newStore(t, mark.Options{})
	old := open(t, s, key("alice", "1"))
	set(old, engineOf(1), 5)
	h := open(t, s, key("alice", "1"))
	wantTaken(t, h, engineOf(1), 5)
	set(h, engineOf(1), 5)
	set(h, engineOf(1), 8)
	old.Close() // nothing had come from it since
	h.Close()
	next := open(t, s, key("alice", "1"))
	wantTaken(t, next, engineOf(1), 8)
	set(next, engineOf(1), 9)
	if st := s.Stats(); st.Keys != 1 || st.Away != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestTwoConnectionsOfOneNameEachComeBackToTheLowerPlace(t *testing.T) {
	s := newStore(t, mark.Options{})
	a := open(t, s, key("alice", "1"))
	set(a, engineOf(1), 5)
	b := open(t, s, key("alice", "1")) // a duplicated tab
	wantTaken(t, b, engineOf(1), 5)
	set(b, engineOf(1), 9)
	a.Heard()
	set(a, engineOf(1), 7)
	a.Close()
	b.Close()
	first := open(t, s, key("alice", "1"))
	wantTaken(t, first, engineOf(1), 7)
	set(first, engineOf(1), 100)
	second := open(t, s, key("alice", "1"))
	wantTaken(t, second, engineOf(1), 7)
	set(second, engineOf(1), 100)
	// Both are back.
	first.Heard()
	first.Close()
	second.Close()
	wantTaken(t, open(t, s, key("alice", "1")), engineOf(1), 100)
}

func TestASubscriptionThatWasEndedForItsBrowserGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, mark.Options{})
		h := open(t, s, key("alice", "1"))
		h.Leave(engineOf(1), mark.Place{After: 5})
		h.Leave(engineOf(1), mark.Place{After: 4})
		wantTaken(t, h, engineOf(1), 4, 4, 0)
		h.Leave(engineOf(1), mark.Place{After: 5})
		h.Close()
		h = open(t, s, key("alice", "1"))
		wantTaken(t, h, engineOf(1), 5)
		h.Leave(engineOf(1), mark.Place{After: 5})
		time.Sleep(2 * time.Minute)
		wantTaken(t, h, engineOf(1), 0)
	})
}

func TestTheOneThatEndedFirstMakesRoom(t *testing.T) {
	s := newStore(t, mark.Options{MaxKeys: 3})
	for _, name := range []string{"1", "2", "3", "4"} {
		h := open(t, s, key("user-"+name, name))
		set(h, engineOf(1), 5)
		h.Close()
	}
	h := open(t, s, key("user-2", "2"))
	wantTaken(t, h, engineOf(1), 5)
	h = open(t, s, key("user-1", "1")) // makes room once more: 3 goes
	wantTaken(t, h, engineOf(1), 0)
	h = open(t, s, key("user-4", "4"))
	wantTaken(t, h, engineOf(1), 5)
	if st := s.Stats(); st.Keys != 3 || st.Away != 0 || st.Forgotten != 2 {
		t.Fatalf("%+v", st)
	}
	// All are open: nobody is driven out.
	if h := s.Open(key("user-5", "5")); h != nil {
		t.Fatal("there is no room for a fourth")
	}
	if st := s.Stats(); st.Keys != 3 || st.Refused != 1 {
		t.Fatalf("%+v", st)
	}
}

func TestBytesAreBounded(t *testing.T) {
	const most = 64 << 10
	s := newStore(t, mark.Options{MaxBytes: most})
	for i := range 1000 {
		h := open(t, s, key("alice-"+string(rune('a'+i%26)), strings.Repeat("n", i%90)))
		for c := range 5 {
			set(h, engineOf(c), uint64(i+1))
		}
		h.Close()
		if st := s.Stats(); st.Bytes > most {
			t.Fatalf("%+v", st)
		}
	}
	st := s.Stats()
	if st.Forgotten == 0 || st.Keys < 10 {
		t.Fatalf("%+v", st)
	}
	// One connection alone cannot exceed it either; what it has stays as it was.
	h := open(t, s, key("bob", "1"))
	set(h, engineOf(0), 1)
	for c := range 1000 {
		set(h, engineOf(c+1), 2)
	}
	if st := s.Stats(); st.Bytes > most || st.Refused == 0 || st.Keys != 1 {
		t.Fatalf("%+v", st)
	}
	h.Close()
	wantTaken(t, open(t, s, key("bob", "1")), engineOf(0), 1)
}

func TestNobodyIsLeftWithBytesWhenAllIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, mark.Options{})
		for i := range 50 {
			h := open(t, s, key("alice", strings.Repeat("n", i)))
			setN(h, engineOf(1), 3, 2)
			set(h, engineOf(2), 4)
			h.Leave(engineOf(3), mark.Place{After: 5, Seen: map[string]uint64{"status.c3.tool": 9}})
			if i%2 == 0 {
				twin := open(t, s, key("alice", strings.Repeat("n", i)))
				twin.Take(engineOf(1))
				twin.Close()
			}
			h.Close()
		}
		time.Sleep(2 * time.Minute)
		if st := s.Stats(); st.Keys != 0 || st.Bytes != 0 {
			t.Fatalf("%+v", st)
		}
	})
}

func TestOneUserDoesNotDriveOutTheOthers(t *testing.T) {
	s := newStore(t, mark.Options{MaxKeys: 100, MaxAwayPerUser: 10})
	h := open(t, s, key("alice", "1"))
	set(h, engineOf(1), 5)
	h.Close()
	for i := range 1000 {
		h := open(t, s, key("mallory", strings.Repeat("n", i%100)))
		set(h, engineOf(1), 6)
		h.Close()
	}
	if st := s.Stats(); st.Keys != 11 {
		t.Fatalf("%+v", st)
	}
	wantTaken(t, open(t, s, key("alice", "1")), engineOf(1), 5)
	wantTaken(t, open(t, s, key("mallory", strings.Repeat("n", 99))), engineOf(1), 6)
}

func TestAUsersOldestMakesRoomForItsNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 8
		s := newStore(t, mark.Options{MaxAwayPerUser: most})
		for i := range 2 * most {
			h := open(t, s, key("alice", fmt.Sprint(i)))
			set(h, engineOf(1), uint64(i+1))
			h.Close()
			time.Sleep(time.Second)
		}
		if st := s.Stats(); st.Forgotten != most || st.Away != most {
			t.Errorf("%+v", st)
		}
		for i := range 2 * most {
			want := uint64(0)
			if i >= most {
				want = uint64(i + 1)
			}
			wantTaken(t, open(t, s, key("alice", fmt.Sprint(i))), engineOf(1), want)
		}
	})
}

func TestTheSubjectsOfAKeyAreWhatItWouldGoOnWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, mark.Options{})
		want := func(k mark.Key, subjects ...string) {
			t.Helper()
			got := s.Subjects(k)
			slices.Sort(got)
			if !slices.Equal(got, subjects) {
				t.Errorf("%q, want %q", got, subjects)
			}
		}
		want(key("alice", "1"))
		h := open(t, s, key("alice", "1"))
		set(h, engineOf(1), 7)
		set(h, engineOf(2), 8)
		want(key("alice", "1"), engineOf(1), engineOf(2)) // it may be back before its end is seen
		h.Set(map[string]mark.Mark{engineOf(2): {}})
		h.Close()
		want(key("alice", "1"), engineOf(1))
		want(key("bob", "1"))
		want(key("alice", "2"))
		next := open(t, s, key("alice", "1"))
		want(key("alice", "1"), engineOf(1))
		wantTaken(t, next, engineOf(1), 7)
		want(key("alice", "1"), engineOf(1)) // its subscription is not made yet
		next.Close()
		time.Sleep(mark.DefaultOptions().Keep)
		want(key("alice", "1"))
	})
}

func TestThePlacesThatSubjectsWereLeftAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, mark.Options{})
		first, second, here := open(t, s, key("alice", "1")), open(t, s, key("bob", "1")), open(t, s, key("carol", "1"))
		set(first, engineOf(1), 7)
		set(first, engineOf(2), 9)
		set(second, engineOf(1), 5)
		set(here, engineOf(3), 3)
		if got := s.Places(); len(got) != 0 {
			t.Errorf("while all are connected: %v", got)
		}
		first.Close()
		time.Sleep(time.Minute)
		second.Close()
		want := func(want map[string]uint64) {
			t.Helper()
			got := map[string]uint64{}
			for subject, place := range s.Places() {
				got[subject] = place.After
			}
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		want(map[string]uint64{engineOf(1): 5, engineOf(2): 9})
		time.Sleep(time.Minute)
		want(map[string]uint64{engineOf(1): 5})
		time.Sleep(time.Minute)
		want(map[string]uint64{})
	})
}
