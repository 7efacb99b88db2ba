package fanout_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
)

func TestATopicThatNobodyComesBackToEnds(t *testing.T) {
	r := newRig(t, fanout.Options{Keep: 50 * time.Millisecond, CheckEvery: 100 * time.Millisecond})
	before := r.live.NumSubscriptions()
	s := r.subscribe("status.c1.engine", "", newCollector())
	r.leave("status.c2.engine")
	r.fanout.Unsubscribe(r.subscribe("presence.c1", "", newCollector())) // not stored, and so not kept
	eventually(t, "the one that was left ends", func() bool { return r.fanout.Stats().Topics == 1 })
	if got := r.live.NumSubscriptions(); got != before+1 {
		t.Errorf("%d upstream subscriptions, %d before", got, before)
	}
	if got := r.fanout.Stats(); got.Kept != 0 || got.Tail.Statuses != 0 {
		t.Errorf("%+v", got)
	}
	c := newCollector()
	r.subscribe("status.c1.engine", "", c)
	r.fanout.Unsubscribe(s)
	r.store("c1", "engine", "1")
	c.waitFor(t, 1)
}

func TestOfTooManyThatAreKeptTheOneThatWasLeftFirstGoes(t *testing.T) {
	r := newRig(t, fanout.Options{Keep: never, MaxKept: 2})
	for _, c := range []string{"c1", "c2", "c1", "c3"} { // c1 has come back meanwhile
		r.leave("status." + c + ".engine")
	}
	for c, kept := range map[string]bool{"c1": true, "c2": false, "c3": true} {
		if got := r.fanout.Topic("status."+c+".engine") != nil; got != kept {
			t.Errorf("%s is kept: %v", c, got)
		}
	}
}

func TestWhatIsOnlyKeptGivesWayToWhatIsWanted(t *testing.T) {
	r := newRigOn(t, fanout.Options{Keep: never, MaxSubscriptions: 40, CheckEvery: never}, shippedLimit, lowLimit)
	all, subs, err := r.follow(100)
	if !errors.Is(err, fanout.ErrFull) {
		t.Fatal(err)
	}
	for _, s := range subs[:10] {
		r.fanout.Unsubscribe(s)
	}
	if got := r.fanout.Stats(); got.Topics != len(all) || got.Kept != 10 {
		t.Fatalf("%+v", got)
	}
	for i := range 10 {
		c := newCollector()
		if _, err := r.fanout.Subscribe(t.Context(), fmt.Sprintf("status.c2.cat%d", i), "", "1", c); err != nil {
			t.Fatalf("%d in place of one that is kept: %v", i, err)
		}
		r.store("c2", fmt.Sprintf("cat%d", i), "live")
		c.waitFor(t, 1)
		if r.fanout.Topic(fmt.Sprintf("status.c1.cat%d", i)) != nil {
			t.Errorf("another one than %d has gone", i)
		}
	}
	if _, err := r.fanout.Subscribe(t.Context(), "status.c3.engine", "", "1", newCollector()); !errors.Is(err, fanout.ErrFull) {
		t.Errorf("one more: %v", err)
	}
	if got := r.fanout.Stats(); got.Topics != len(all) || got.Kept != 0 || got.Upstream > 40 {
		t.Errorf("%+v", got)
	}
}

func TestWhenMemoryIsFullWhatIsKeptGoesBeforeTheOldest(t *testing.T) {
	r := newRig(t, fanout.Options{Keep: never, TailBytes: 1000, CheckEvery: never})
	r.leave("status.c1.engine")
	r.leave("status.c2.engine")
	c := newCollector()
	r.subscribe("status.c3.engine", "", c)
	r.store("c2", "engine", "1")
	r.store("c1", "engine", "2")
	r.store("c3", "engine", "3")
	c.waitFor(t, 1)
	stored := 1
	kept := func(conversation string) bool { return r.fanout.Topic("status."+conversation+".engine") != nil }
	store := func() {
		r.store("c3", "engine", "more")
		stored++
		c.waitFor(t, stored)
	}
	for kept("c1") && stored < 100 {
		if !kept("c2") {
			t.Fatal("the one that was left last went first")
		}
		store()
	}
	for kept("c2") && stored < 100 {
		store()
	}
	for range 5 {
		store()
	}
	got := r.fanout.Stats()
	if got.Topics != 1 || got.Tail.Bytes > 1000 || got.Tail.Statuses < 2 || stored > 20 {
		t.Errorf("%+v after %d", got, stored)
	}
}

func TestAKeptTopicOfAStreamThatIsMadeAnewEnds(t *testing.T) {
	r := newRig(t, keep())
	r.leave("status.c1.engine")
	before := r.live.NumSubscriptions()
	r.repair.becomes("another")
	r.fanout.CheckEpoch()
	if got := r.fanout.Stats(); got.Topics != 0 || got.Kept != 0 || r.live.NumSubscriptions() != before-1 {
		t.Errorf("%+v, %d upstream, %d before", got, r.live.NumSubscriptions(), before)
	}
}
