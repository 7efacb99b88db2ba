package fanout_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/fanout"
)

func TestAThousandReceiversShareOneUpstreamSubscription(t *testing.T) {
	r := newRig(t, fanout.Options{})
	before := r.live.NumSubscriptions()
	var all []*collector
	var subs []*fanout.Subscription
	for range 1000 {
		c := newCollector()
		all = append(all, c)
		subs = append(subs, r.subscribe("status.c1.engine", "", c))
	}
	if got := r.live.NumSubscriptions() - before; got != 1 {
		t.Fatalf("%d upstream subscriptions", got)
	}
	r.store("c1", "engine", "hello")
	for _, c := range all {
		c.waitFor(t, 1)
	}
	for _, s := range subs {
		r.fanout.Unsubscribe(s)
		r.fanout.Unsubscribe(s) // twice is fine
	}
	if got := r.live.NumSubscriptions() - before; got != 0 {
		t.Fatalf("%d upstream subscriptions are left", got)
	}
	if got := r.fanout.Stats().Topics; got != 0 {
		t.Fatalf("%d topics are left", got)
	}
}

func TestAWildcardReceivesEveryCategoryInOrder(t *testing.T) {
	r := newRig(t, fanout.Options{})
	c := newCollector()
	r.subscribe("status.c1.*", "", c)
	for i := range 50 {
		r.store("c1", []string{"engine", "tool"}[i%2], fmt.Sprint(i))
		r.store("c2", "engine", "not for c1")
	}
	got := c.waitFor(t, 50)
	if !slices.IsSorted(got) || len(got) != 50 {
		t.Fatalf("got %v", got)
	}
}

func TestAQueueGroupDeliversEachMessageToOneMember(t *testing.T) {
	r := newRig(t, fanout.Options{})
	a, b, plain := newCollector(), newCollector(), newCollector()
	r.subscribe("status.c1.engine", "q", a)
	r.subscribe("status.c1.engine", "q", b)
	r.subscribe("status.c1.engine", "", plain)
	for i := range 20 {
		r.store("c1", "engine", fmt.Sprint(i))
	}
	plain.waitFor(t, 20)
	a.waitFor(t, 10)
	b.waitFor(t, 10)
	if len(a.seqs)+len(b.seqs) != 20 {
		t.Fatalf("the group got %d and %d", len(a.seqs), len(b.seqs))
	}
}

func TestAHoleIsMendedBeforeTheNextStatusIsDelivered(t *testing.T) {
	r := newRig(t, fanout.Options{})
	c := newCollector()
	r.subscribe("status.c1.engine", "", c)
	r.store("c1", "engine", "1")
	c.waitFor(t, 1)
	for _, n := range []int{1, 3, 450} { // a single one, some, more than a batch
		have := len(c.waitFor(t, 1))
		r.without("status.c1.engine", func() {
			for i := range n {
				r.store("c1", "engine", fmt.Sprint("lost ", i))
			}
		})
		r.store("c1", "engine", "after")
		got := c.waitFor(t, have+n+1)
		for i, seq := range got {
			if seq != uint64(i+1) {
				t.Fatalf("place %d has sequence %d: %v", i, seq, got)
			}
		}
	}
	if got := r.fanout.Stats().Mended; got != 454 {
		t.Fatalf("%d mended", got)
	}
}

func TestSeveralHolesInAWildcardAreMendedInOrderOfEachSubject(t *testing.T) {
	r := newRig(t, fanout.Options{})
	c := newCollector()
	r.subscribe("status.c1.*", "", c)
	r.store("c1", "engine", "1")
	r.store("c1", "tool", "2")
	c.waitFor(t, 2)
	r.without("status.c1.*", func() {
		r.store("c1", "engine", "3")
		r.store("c1", "tool", "4")
		r.store("c1", "info", "5")
	})
	r.store("c1", "tool", "6")
	r.store("c1", "engine", "7")
	r.store("c1", "info", "8")
	got := c.waitFor(t, 8)
	slices.Sort(got)
	if !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Fatalf("got %v", got)
	}
	if i, j := slices.Index(c.texts, `{"text":"3"}`), slices.Index(c.texts, `{"text":"7"}`); i > j {
		t.Fatalf("engine out of order: %v", c.texts)
	}
}

func TestADoubleIsDropped(t *testing.T) {
	r := newRig(t, fanout.Options{})
	c := newCollector()
	r.subscribe("status.c1.engine", "", c)
	r.store("c1", "engine", "1")
	r.store("c1", "engine", "2")
	c.waitFor(t, 2)
	again := nats.NewMsg("status.c1.engine")
	again.Header.Set("Nats-Sequence", "1")
	again.Header.Set("Nats-Last-Sequence", "0")
	r.replay(again)
	r.store("c1", "engine", "3")
	if got := c.waitFor(t, 3); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Fatalf("got %v", got)
	}
	if got := r.fanout.Stats().Doubles; got != 1 {
		t.Fatalf("%d doubles", got)
	}
}

func TestAHoleThatCannotBeMendedEndsTheSubscriptionWithAReason(t *testing.T) {
	r := newRig(t, fanout.Options{RepairAttempts: 2})
	c := newCollector()
	r.subscribe("status.c1.engine", "", c)
	r.store("c1", "engine", "1")
	c.waitFor(t, 1)
	r.repair.fail(errors.New("the stream is away"))
	r.without("status.c1.engine", func() { r.store("c1", "engine", "2") })
	r.store("c1", "engine", "3")
	c.wait(t, "the end of the subscription", func(c *collector) bool { return len(c.ended) == 1 })
	if !strings.Contains(c.ended[0], "subscribe again") {
		t.Fatalf("reason %q", c.ended[0])
	}
	if got := r.fanout.Stats(); got.Failed != 1 || got.Topics != 0 {
		t.Fatalf("%+v", got)
	}
}

// losesWhileAway subscribes, has status 1 arrive and those up to last get lost, while
// the stream cannot be read.
func (r *rig) losesWhileAway(subject string, last int) (*collector, *fanout.Subscription) {
	r.t.Helper()
	c := newCollector()
	s := r.subscribe(subject, "", c)
	r.store("c1", "engine", "1")
	r.settle(s)
	r.repair.fail(errors.New("the stream is away"))
	r.without(subject, func() {
		for i := 2; i <= last; i++ {
			r.store("c1", "engine", fmt.Sprint(i))
		}
	})
	return c, s
}

// dropWhatIsMissing lets the stream be read again once mending has been tried, without
// what is below first.
func (r *rig) dropWhatIsMissing(first uint64) {
	r.t.Helper()
	eventually(r.t, "an attempt at mending", func() bool { return r.repair.called() > 0 })
	r.dropBelow(first)
	r.repair.fail(nil)
}

func TestWhatRetentionHasTakenIsTold(t *testing.T) {
	t.Run("by the message that shows the hole", func(t *testing.T) {
		r := newRig(t, fanout.Options{CheckEvery: never})
		c, _ := r.losesWhileAway("status.c1.*", 3)
		r.store("c1", "engine", "4")
		r.store("c1", "engine", "5")
		r.dropWhatIsMissing(4)
		if got := c.waitFor(t, 3); !slices.Equal(got, []uint64{1, 4, 5}) {
			t.Fatalf("got %v", got)
		}
		if got := c.truncations(); !maps.Equal(got, map[uint64]string{4: "4"}) {
			t.Fatalf("told %v", got)
		}
	})
	t.Run("by the first one that is left", func(t *testing.T) {
		r := newRig(t, fanout.Options{CheckEvery: never})
		c, _ := r.losesWhileAway("status.c1.engine", 5)
		r.store("c1", "engine", "6")
		r.dropWhatIsMissing(4)
		if got := c.waitFor(t, 4); !slices.Equal(got, []uint64{1, 4, 5, 6}) {
			t.Fatalf("got %v", got)
		}
		if got := c.truncations(); !maps.Equal(got, map[uint64]string{4: "4"}) {
			t.Fatalf("told %v", got)
		}
	})
}

// Nobody's place goes past a gap that is still to be told, whoever else catches up.
func TestAPlaceWaitsForItsGapToBeTold(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: 20 * time.Millisecond, RepairAttempts: 1000})
	c, s := r.losesWhileAway("status.c1.engine", 3)
	r.dropWhatIsMissing(4)
	r.settle(s)
	r.waitLive(r.subscribeAfter("status.c1.engine", newCollector(), fanout.Place{After: 3}))
	if p, _ := r.fanout.Place(s); p.After != 1 || p.Seen["status.c1.engine"] > 1 {
		t.Errorf("the place is %+v", p)
	}
	r.store("c1", "engine", "4")
	c.waitFor(t, 2)
	if got := c.truncations(); !maps.Equal(got, map[uint64]string{4: "4"}) {
		t.Errorf("told %v", got)
	}
}

func TestAReplicaThatLagsBehindIsAskedAgain(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: never})
	c := newCollector()
	r.subscribe("status.c1.engine", "", c)
	r.store("c1", "engine", "1")
	c.waitFor(t, 1)
	// Live is ahead of what can be read.
	ahead := func(seq, prev string) *nats.Msg {
		m := nats.NewMsg("status.c1.engine")
		m.Header.Set("Nats-Sequence", seq)
		m.Header.Set("Nats-Last-Sequence", prev)
		return m
	}
	r.replay(ahead("3", "2"))
	eventually(t, "an attempt at mending", func() bool { return r.repair.called() > 0 })
	r.without("status.c1.engine", func() {
		r.store("c1", "engine", "2")
		r.store("c1", "engine", "3")
	})
	if got := c.waitFor(t, 3); !slices.Equal(got, numbers(1, 3)) {
		t.Fatalf("got %v", got)
	}
}

func TestSubscribeAfterStopIsRefused(t *testing.T) {
	r := newRig(t, fanout.Options{})
	if err := r.fanout.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.fanout.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.fanout.Subscribe(t.Context(), "status.c1.engine", "", "1", newCollector())
	if !errors.Is(err, fanout.ErrStopped) {
		t.Fatalf("got %v", err)
	}
}

func TestReceiversThatComeAndGoLeaveNothing(t *testing.T) {
	r := newRig(t, fanout.Options{})
	done := make(chan struct{})
	for g := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 50 {
				c := newCollector()
				s, err := r.fanout.Subscribe(t.Context(), fmt.Sprintf("status.c%d.engine", i%3), "", "1", c)
				if err != nil {
					t.Errorf("worker %d: %v", g, err)
					return
				}
				r.fanout.Unsubscribe(s)
			}
		}()
	}
	for i := range 100 {
		r.store(fmt.Sprintf("c%d", i%3), "engine", "x")
	}
	for range 8 {
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("stuck")
		}
	}
	if got := r.fanout.Stats().Topics; got != 0 {
		t.Fatalf("%d topics are left", got)
	}
}
