package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/status"
)

func (r *rig) subscribeAfter(subject string, to fanout.Receiver, place fanout.Place) *fanout.Subscription {
	r.t.Helper()
	s, err := r.fanout.SubscribeAfter(r.t.Context(), subject, "1", to, place)
	if err != nil {
		r.t.Fatal(err)
	}
	r.flush()
	return s
}

// live waits until the topic delivers to the receiver itself.
func (r *rig) waitLive(s *fanout.Subscription) {
	r.t.Helper()
	eventually(r.t, "live", func() bool { return s.Live() })
}

func numbers(from, to uint64) []uint64 {
	var all []uint64
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

func TestWhoWasAwayGetsWhatWasMissedAndThenWhatIsLive(t *testing.T) {
	r := newRig(t, fanout.Options{})
	for i := range 30 {
		r.store("c1", "engine", fmt.Sprint(i+1))
	}
	c := newCollector()
	s := r.subscribeAfter("status.c1.engine", c, fanout.Place{After: 10})
	r.waitLive(s)
	r.store("c1", "engine", "31")
	if got := c.waitFor(t, 21); !slices.Equal(got, numbers(11, 31)) {
		t.Fatalf("got %v", got)
	}
	for i, m := range c.all {
		if m.Replayed != (m.Sequence <= 30) {
			t.Errorf("%d: replayed %v", m.Sequence, m.Replayed)
		}
		if got, want := m.Header.Get("Nats-Sequence"), fmt.Sprint(m.Sequence); got != want {
			t.Errorf("%d says it is %s", m.Sequence, got)
		}
		if got, want := m.Header.Get("Nats-Last-Sequence"), fmt.Sprint(m.Sequence-1); i > 0 && got != want {
			t.Errorf("%d stands behind %q", m.Sequence, got)
		}
		if m.Header.Get(status.HeaderTruncated) != "" {
			t.Errorf("%d says that something is missing", m.Sequence)
		}
	}
	if got := r.fanout.Stats(); got.Replayed != 20 || got.Delivered != 21 {
		t.Errorf("%+v", got)
	}
}

func TestWhatThePlaceNamesDoesNotComeAgain(t *testing.T) {
	r := newRig(t, fanout.Options{})
	for i := range 20 {
		r.store("c1", []string{"engine", "tool"}[i%2], fmt.Sprint(i+1)) // engine has the odd ones
	}
	c := newCollector()
	s := r.subscribeAfter("status.c1.*", c, fanout.Place{After: 4, Seen: map[string]uint64{"status.c1.engine": 15}})
	r.waitLive(s)
	r.store("c1", "engine", "21")
	if got := c.waitFor(t, 11); !slices.Equal(got, []uint64{6, 8, 10, 12, 14, 16, 17, 18, 19, 20, 21}) {
		t.Fatalf("got %v", got)
	}
}

func TestNothingMissedIsNothingReplayed(t *testing.T) {
	r := newRig(t, fanout.Options{})
	r.store("c1", "engine", "1")
	c := newCollector()
	s := r.subscribeAfter("status.c1.engine", c, fanout.Place{After: 1})
	r.waitLive(s)
	r.store("c1", "engine", "2")
	if got := c.waitFor(t, 1); !slices.Equal(got, []uint64{2}) {
		t.Fatalf("got %v", got)
	}
}

func TestWhatCannotBeStoredIsNotReplayed(t *testing.T) {
	r := newRig(t, fanout.Options{})
	s := r.subscribeAfter("presence.c1", newCollector(), fanout.Place{After: 1})
	if r.repair.replays != 0 || !s.Live() {
		t.Fatal("presence is read back")
	}
	if _, ok := r.fanout.Place(s); ok {
		t.Fatal("presence has a place")
	}
}

// gate is a receiver that lets a replay read on only when it is told to.
type gate struct {
	*collector
	open chan error
	wait chan struct{} // says that the replay waits
}

func newGate() *gate {
	return &gate{collector: newCollector(), open: make(chan error), wait: make(chan struct{}, 1)}
}

func (g *gate) HasRoom() bool { return false }

func (g *gate) Ready(ctx context.Context) error {
	select {
	case g.wait <- struct{}{}:
	default:
	}
	select {
	case err := <-g.open:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestLiveStatusesWaitUntilTheReplayIsIn(t *testing.T) {
	for _, c := range []struct {
		name string
		opts fanout.Options
		live int
	}{
		{"they fit", fanout.Options{}, 50},
		{"too many", fanout.Options{MaxHeld: 10}, 50},
		{"too large", fanout.Options{MaxHeldBytes: 100}, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.opts)
			for i := range 20 {
				r.store("c1", "engine", fmt.Sprint(i+1))
			}
			plain := newCollector()
			r.subscribe("status.c1.engine", "", plain)
			g := newGate()
			s := r.subscribeAfter("status.c1.engine", g, fanout.Place{After: 5})
			<-g.wait
			for i := range c.live {
				r.store("c1", "engine", fmt.Sprint(21+i))
			}
			plain.waitFor(t, c.live) // all others have them
			if len(g.seqs) != 0 {
				t.Fatalf("got %v before it was ready", g.seqs)
			}
			close(g.open)
			r.waitLive(s)
			r.store("c1", "engine", "and on")
			if got := g.waitFor(t, 15+c.live+1); !slices.Equal(got, numbers(6, uint64(21+c.live))) {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestAReceiverThatIsNotReadyEndsItsSubscription(t *testing.T) {
	r := newRig(t, fanout.Options{})
	r.store("c1", "engine", "1")
	g := newGate()
	r.subscribeAfter("status.c1.engine", g, fanout.Place{})
	g.open <- errors.New("the browser stopped reading")
	g.collector.wait(t, "the end", func(c *collector) bool { return len(c.ended) == 1 })
	if g.ended[0] != "the browser stopped reading" || r.fanout.Stats().Topics != 0 {
		t.Fatalf("ended %q, %+v", g.ended, r.fanout.Stats())
	}
}

func TestUnsubscribeEndsAReplay(t *testing.T) {
	r := newRig(t, fanout.Options{})
	for i := range 20 {
		r.store("c1", "engine", fmt.Sprint(i+1))
	}
	g := newGate()
	s := r.subscribeAfter("status.c1.engine", g, fanout.Place{After: 1})
	g.open <- nil // to read
	g.open <- nil // to hand the first piece over
	first := g.waitFor(t, replayPiece)
	eventually(t, "the place is noted", func() bool { p, _ := r.fanout.Place(s); return p.After == first[len(first)-1] })
	r.fanout.Unsubscribe(s)
	if got := r.fanout.Stats().Topics; got != 0 {
		t.Fatalf("%d topics are left", got)
	}
	if err := r.fanout.Stop(t.Context()); err != nil { // it waits for the replay
		t.Fatal(err)
	}
	if p, _ := r.fanout.Place(s); p.After != first[len(first)-1] {
		t.Errorf("place %v after %v", p, first)
	}
	if len(g.seqs) != replayPiece || len(g.ended) != 0 {
		t.Fatalf("got %v, ended %v", g.seqs, g.ended)
	}
}

func TestAReplayThatFailsForAWhileGoesOn(t *testing.T) {
	r := newRig(t, fanout.Options{})
	for i := range 20 {
		r.store("c1", "engine", fmt.Sprint(i+1))
	}
	g := newGate()
	s := r.subscribeAfter("status.c1.engine", g, fanout.Place{After: 1})
	g.open <- nil
	g.open <- nil
	g.waitFor(t, replayPiece)
	r.repair.fail(errors.New("the stream is away"))
	close(g.open)
	eventually(t, "a second try", func() bool { return r.repair.tried() >= 3 })
	r.repair.fail(nil)
	r.waitLive(s)
	if got := g.waitFor(t, 19); !slices.Equal(got, numbers(2, 20)) {
		t.Fatalf("got %v", got)
	}
}

func TestAReplayThatFailsForGoodEndsTheSubscriptionWithAReason(t *testing.T) {
	r := newRig(t, fanout.Options{RepairAttempts: 2})
	r.store("c1", "engine", "1")
	c, other := newCollector(), newCollector()
	r.subscribe("status.c1.engine", "", other)
	r.repair.fail(errors.New("the stream is away"))
	r.subscribeAfter("status.c1.engine", c, fanout.Place{})
	c.wait(t, "the end", func(c *collector) bool { return len(c.ended) == 1 })
	if !strings.Contains(c.ended[0], "subscribe again") {
		t.Fatalf("reason %q", c.ended[0])
	}
	if got := r.fanout.Stats(); got.Failed != 1 || got.Topics != 1 {
		t.Fatalf("%+v", got)
	}
	r.store("c1", "engine", "2")
	other.waitFor(t, 1)
}

func TestTruncationIsToldByTheNextMessage(t *testing.T) {
	t.Run("a replayed one", func(t *testing.T) {
		r := newRig(t, fanout.Options{})
		for i := range 20 {
			r.store("c1", "engine", fmt.Sprint(i+1))
		}
		r.dropBelow(6)
		c := newCollector()
		r.subscribeAfter("status.c1.engine", c, fanout.Place{After: 2})
		c.waitFor(t, 15)
		if got := c.truncations(); !maps.Equal(got, map[uint64]string{6: "6"}) {
			t.Fatalf("told %v", got)
		}
	})
	t.Run("a live one when nothing else is left", func(t *testing.T) {
		r := newRig(t, fanout.Options{})
		for i := range 3 {
			r.store("c1", "engine", fmt.Sprint(i+1))
		}
		r.dropBelow(4)
		c, other := newCollector(), newCollector()
		r.subscribe("status.c1.engine", "", other)
		s := r.subscribeAfter("status.c1.engine", c, fanout.Place{After: 1})
		eventually(t, "the replay", s.Following)
		if got, _ := r.fanout.Place(s); got.After != 1 {
			t.Fatalf("place %v before the truncation was told", got)
		}
		r.store("c1", "engine", "4")
		r.store("c1", "engine", "5")
		c.waitFor(t, 2)
		other.waitFor(t, 2)
		if got := c.truncations(); !maps.Equal(got, map[uint64]string{4: "4"}) {
			t.Fatalf("told %v", got)
		}
		if got := other.truncations(); len(got) != 0 {
			t.Fatalf("another was told %v", got)
		}
		r.waitLive(s)
	})
}

func TestAPlaceOfOtherDataBringsEverythingAndSaysSo(t *testing.T) {
	r := newRig(t, fanout.Options{RepairAttempts: 2})
	c := newCollector()
	s := r.subscribeAfter("status.c1.engine", c, fanout.Place{After: 400, Seen: map[string]uint64{"status.c1.engine": 500}})
	eventually(t, "the replay", s.Following)
	r.store("c1", "engine", "1")
	r.store("c1", "engine", "2")
	if got := c.waitFor(t, 2); !slices.Equal(got, []uint64{1, 2}) {
		t.Fatalf("got %v", got)
	}
	if got := c.truncations(); !maps.Equal(got, map[uint64]string{1: "1"}) {
		t.Fatalf("told %v", got)
	}
	r.waitLive(s)
}

func TestAHoleThatIsMendedMeanwhileIsNotDoubled(t *testing.T) {
	r := newRig(t, fanout.Options{})
	plain := newCollector()
	r.subscribe("status.c1.engine", "", plain)
	r.store("c1", "engine", "1")
	plain.waitFor(t, 1)
	r.without("status.c1.engine", func() {
		r.store("c1", "engine", "2")
		r.store("c1", "engine", "3")
	})
	// The newcomer reads from the stream what the topic does not know of.
	c := newCollector()
	s := r.subscribeAfter("status.c1.engine", c, fanout.Place{After: 1})
	c.waitFor(t, 2)
	r.store("c1", "engine", "4") // the topic finds the hole
	if got := c.waitFor(t, 3); !slices.Equal(got, numbers(2, 4)) {
		t.Fatalf("got %v", got)
	}
	if got := plain.waitFor(t, 4); !slices.Equal(got, numbers(1, 4)) {
		t.Fatalf("the other got %v", got)
	}
	r.waitLive(s)
	r.store("c1", "engine", "5")
	if got := c.waitFor(t, 4); !slices.Equal(got, numbers(2, 5)) {
		t.Fatalf("and on: %v", got)
	}
}

func TestManyWhoComeBackAtOnceAllGetEverythingOnce(t *testing.T) {
	r := newRig(t, fanout.Options{MaxHeld: 20})
	r.repair.piece = 50
	const before, meanwhile, after = 100, 200, 20
	for i := range before {
		r.store("c1", []string{"engine", "tool", "info"}[i%3], fmt.Sprint(i))
	}
	var all []*collector
	var subs []*fanout.Subscription
	var storing sync.WaitGroup
	storing.Go(func() {
		for i := range meanwhile {
			r.store("c1", []string{"engine", "tool", "info"}[i%3], fmt.Sprint(i))
		}
	})
	for i := range 50 {
		c := newCollector()
		all = append(all, c)
		subs = append(subs, r.subscribeAfter("status.c1.*", c, fanout.Place{After: uint64(i)}))
	}
	storing.Wait()
	for _, s := range subs {
		r.waitLive(s)
	}
	for i := range after {
		r.store("c1", []string{"engine", "tool", "info"}[i%3], fmt.Sprint(i))
	}
	for i, c := range all {
		got := c.waitFor(t, before+meanwhile+after-i)
		if want := numbers(uint64(i+1), before+meanwhile+after); !slices.Equal(got, want) {
			t.Fatalf("the one after %d got %v", i, got)
		}
	}
	p, ok := r.fanout.Place(subs[0])
	for _, s := range subs {
		if q, qok := r.fanout.Place(s); !ok || !qok || q.After != p.After || !maps.Equal(p.Seen, q.Seen) {
			t.Fatalf("places differ: %v, %v", p, q)
		}
	}
	var newest uint64
	for _, seq := range p.Seen {
		newest = max(newest, seq)
	}
	if newest != before+meanwhile+after {
		t.Fatalf("place %v", p)
	}
}

func TestAPlaceMovesWithWhatIsHandedOver(t *testing.T) {
	r := newRig(t, fanout.Options{})
	r.store("c2", "engine", "1")
	r.store("c1", "engine", "2")
	c := newCollector()
	s := r.subscribe("status.c1.*", "", c)
	want := func(after uint64, seen map[string]uint64) {
		t.Helper()
		p, ok := r.fanout.Place(s)
		if !ok || p.After != after || !maps.Equal(p.Seen, seen) {
			t.Fatalf("place %v, want %d %v", p, after, seen)
		}
	}
	want(2, nil)
	r.store("c1", "tool", "3")
	c.waitFor(t, 1)
	eventually(t, "the place of it", func() bool { p, _ := r.fanout.Place(s); return p.Seen != nil })
	want(2, map[string]uint64{"status.c1.tool": 3})
	if _, ok := r.fanout.Place(r.subscribe("status.c1.*", "q", newCollector())); ok {
		t.Fatal("a queue group has a place")
	}
}

// truncations returns which sequences carried the header, and its value.
func (c *collector) truncations() map[uint64]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := map[uint64]string{}
	for _, m := range c.all {
		if v := m.Header.Get(status.HeaderTruncated); v != "" {
			told[m.Sequence] = v
		}
	}
	return told
}
