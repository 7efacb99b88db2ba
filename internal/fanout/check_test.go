package fanout_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/fanout"
)

// never is longer than any test: no check comes by its turn.
const never = 24 * time.Hour

func TestAStatusThatNeverCameIsFoundWithinOneCheck(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: 250 * time.Millisecond})
	literal, wild := newCollector(), newCollector()
	r.subscribe("status.c1.engine", "", literal)
	r.subscribe("status.c1.*", "", wild)
	r.store("c1", "engine", "1")
	literal.waitFor(t, 1)
	wild.waitFor(t, 1)
	var before int
	r.without("status.c1.engine", func() {
		r.without("status.c1.*", func() {
			r.store("c1", "engine", "2")
			r.store("c1", "info", "3") // on a subject that had nothing
			r.store("c1", "engine", "4")
			before = r.repair.checked("status.c1.engine")
		})
	})
	// Nothing more is published.
	if got := literal.waitFor(t, 3); !slices.Equal(got, []uint64{1, 2, 4}) {
		t.Fatalf("literal: %v", got)
	}
	// The first check finds it. One may have asked before, others come while the
	// machine is busy.
	if n := r.repair.checked("status.c1.engine") - before; n < 1 || n > 4 {
		t.Errorf("it took %d checks", n)
	}
	if got := wild.waitFor(t, 4); !slices.Equal(got, numbers(1, 4)) {
		t.Fatalf("wildcard: %v", got)
	}
	r.store("c1", "engine", "5")
	if got := literal.waitFor(t, 4); got[3] != 5 {
		t.Fatalf("and on: %v", got)
	}
}

func TestADuplicatePublishWhoseRepublishWasLostIsFound(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: 50 * time.Millisecond})
	c := newCollector()
	r.subscribe("status.c1.engine", "", c)
	publish := func() string {
		m := nats.NewMsg("ingest.c1.engine")
		m.Header.Set("Nats-Msg-Id", "c1.engine.x")
		m.Data = []byte(`{"text":"the last one"}`)
		ack, err := r.ingest.RequestMsg(m, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return string(ack.Data)
	}
	r.without("status.c1.engine", func() { publish() })
	if ack := publish(); !strings.Contains(ack, `"duplicate": true`) && !strings.Contains(ack, `"duplicate":true`) {
		t.Fatalf("not a duplicate: %s", ack)
	}
	if got := c.waitFor(t, 1); got[0] != 1 {
		t.Fatalf("got %v", got)
	}
}

func TestWhatWasProbablyLostIsLookedForAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		happen func(*rig)
	}{
		{"the stream has a new leader", func(r *rig) {
			if err := r.admin.Publish("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.STATUS", []byte("{}")); err != nil {
				r.t.Fatal(err)
			}
		}},
		{"the connection was away", func(r *rig) {
			if err := r.live.ForceReconnect(); err != nil {
				r.t.Fatal(err)
			}
		}},
		{"another one was lost", func(r *rig) { r.store("c1", "tool", "4") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, fanout.Options{CheckEvery: never})
			wild, other := newCollector(), newCollector()
			r.subscribe("status.c1.*", "", wild)
			r.subscribe("status.c1.engine", "", other)
			r.without("status.c1.*", func() {
				r.store("c1", "engine", "1")
				r.store("c1", "tool", "2")
				r.store("c1", "engine", "3")
			})
			other.waitFor(t, 2)
			if got := wild.has(); len(got) != 0 {
				t.Fatalf("got %v", got)
			}
			c.happen(r)
			got := wild.waitFor(t, 3)
			wild.wait(t, "the other subject", func(c *collector) bool { return slices.Contains(c.seqs, 1) && slices.Contains(c.seqs, 2) })
			if slices.Index(got, 1) > slices.Index(got, 3) && slices.Contains(got, 3) {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestWhatTheClientHadNoRoomForIsFetched(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: never, Shards: 1, ShardQueue: 4})
	slow := newRunner()
	r.subscribe("status.c1.engine", "", slow)
	r.store("c1", "engine", "1")
	<-slow.began
	const stored = 300
	for i := range stored - 1 {
		r.store("c1", "engine", fmt.Sprint(i+2))
	}
	close(slow.goOn)
	// Nothing more is published.
	if got := slow.waitFor(t, stored); !slices.Equal(got, numbers(1, uint64(stored))) {
		t.Fatalf("got %v", got)
	}
	if r.fanout.Stats().Mended == 0 {
		t.Fatal("nothing was dropped")
	}
}

func TestWhatDidNotFitBehindAHoleIsFetched(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: never, MaxWaiting: 3})
	c := newCollector()
	s := r.subscribe("status.c1.engine", "", c)
	r.store("c1", "engine", "1")
	r.settle(s)
	r.repair.fail(errors.New("the stream is away"))
	r.without("status.c1.engine", func() { r.store("c1", "engine", "2") })
	for i := range 10 {
		r.store("c1", "engine", fmt.Sprint(i+3))
	}
	eventually(t, "an attempt at mending", func() bool { return r.repair.called() > 0 })
	r.repair.fail(nil)
	if got := c.waitFor(t, 12); !slices.Equal(got, numbers(1, 12)) {
		t.Fatalf("got %v", got)
	}
}

func TestHolesOfAWildcardAreMendedInTheOrderOfTheStream(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: 20 * time.Millisecond})
	c := newCollector()
	r.subscribe("status.c1.*", "", c)
	const lost = 30
	r.without("status.c1.*", func() {
		for i := range lost {
			r.store("c1", []string{"engine", "tool", "info"}[i%3], fmt.Sprint(i))
		}
	})
	if got := c.waitFor(t, lost); !slices.Equal(got, numbers(1, lost)) {
		t.Fatalf("got %v", got)
	}
}

func TestWhatIsOnItsWayIsNotFetched(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: time.Millisecond, Shards: 1})
	c := newCollector()
	r.subscribe("status.c1.engine", "", c)
	stored := 0
	for begun := time.Now(); stored < 300 || r.repair.checked("status.c1.engine") < 10 && time.Since(begun) < 10*time.Second; stored++ {
		r.store("c1", "engine", fmt.Sprint(stored))
	}
	if got := c.waitFor(t, stored); !slices.Equal(got, numbers(1, uint64(stored))) {
		t.Fatalf("got %v", got)
	}
	if got := r.fanout.Stats(); got.Mended != 0 || got.Doubles != 0 {
		t.Fatalf("%+v", got)
	}
	if n := r.repair.checked("status.c1.engine"); n < 10 {
		t.Fatalf("checked %d times", n)
	}
}

func TestACheckThatFailsIsMadeAgain(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: never})
	c := newCollector()
	s := r.subscribe("status.c1.*", "", c)
	r.without("status.c1.*", func() { r.store("c1", "tool", "1") })
	r.repair.fails(errors.New("the stream is away"))
	before := r.repair.checked("status.c1.*")
	r.fanout.CheckAll()
	eventually(t, "a check", func() bool { return r.repair.checked("status.c1.*") > before })
	r.repair.fails(nil)
	if got := c.waitFor(t, 1); !slices.Equal(got, []uint64{1}) {
		t.Fatalf("got %v", got)
	}
	r.fanout.Unsubscribe(s)
}

func TestWithoutTheStreamNobodyCanSubscribe(t *testing.T) {
	away := errors.New("the stream is away")
	r := newRig(t, fanout.Options{RepairAttempts: 2, RetryWait: time.Millisecond})
	r.repair.fails(away)
	if _, err := r.fanout.Subscribe(t.Context(), "status.c1.engine", "", "1", newCollector()); !errors.Is(err, away) {
		t.Errorf("err = %v", err)
	}
	if n := r.repair.checked("status.c1.engine"); n != 2 {
		t.Errorf("%d attempts", n)
	}
	// What is not of one conversation needs no positions, and has none.
	all := newCollector()
	s := r.subscribe("status.*.*", "", all)
	if _, ok := r.fanout.Place(s); ok {
		t.Error("all conversations have a place")
	}
	if _, err := r.fanout.SubscribeAfter(t.Context(), "status.*.*", "1", newCollector(), fanout.Place{}); !errors.Is(err, fanout.ErrNoPlace) {
		t.Errorf("err = %v", err)
	}
	r.store("c1", "engine", "1")
	r.store("c2", "engine", "2")
	all.waitFor(t, 2)
	r.without("status.*.*", func() { r.store("c1", "engine", "3") })
	r.store("c1", "engine", "4") // shows the hole
	if got := all.waitFor(t, 4); !slices.Equal(got, numbers(1, 4)) {
		t.Errorf("got %v", got)
	}
	r.repair.fails(nil)
	r.subscribe("status.c1.engine", "", newCollector())
	if n := r.fanout.Stats().Topics; n != 2 {
		t.Errorf("%d topics", n)
	}
}

func TestAnIdleTopicIsKnownUpToItsLastCheck(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: 10 * time.Millisecond})
	idle := r.subscribe("status.c1.*", "", newCollector())
	r.subscribe("status.c2.engine", "", newCollector())
	for range 10 {
		r.store("c2", "engine", "x")
	}
	eventually(t, "the check", func() bool { p, _ := r.fanout.Place(idle); return p.After == 10 && p.Seen == nil })
}

func TestManyTopicsAreCheckedAFewAtATime(t *testing.T) {
	const topics = 300
	r := newRig(t, fanout.Options{CheckEvery: never})
	r.store("c0", "engine", "x")
	for i := range topics {
		r.subscribe(fmt.Sprintf("status.c%d.engine", i), "", newCollector())
	}
	if err := r.admin.Publish("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.STATUS", nil); err != nil {
		t.Fatal(err)
	}
	for i := range topics {
		eventually(t, "a check", func() bool { return r.repair.checked(fmt.Sprintf("status.c%d.engine", i)) >= 2 })
	}
	if r.repair.mostAsking > fanout.ChecksAtOnce {
		t.Fatalf("%d asked at once", r.repair.mostAsking)
	}
}
