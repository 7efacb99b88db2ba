package fanout_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/fanout"
)

// both hand on to each of two collectors.
type both [2]*collector

func (b both) Deliver(m *fanout.Message, s *fanout.Subscription) {
	b[0].Deliver(m, s)
	b[1].Deliver(m, s)
}

func (b both) Ended(*fanout.Subscription, string) {}

// picky is a collector that takes only so many messages.
type picky struct {
	*collector
	takes atomic.Int64
}

func (p *picky) Offer(m *fanout.Message, s *fanout.Subscription) bool {
	if p.takes.Add(-1) < 0 {
		return false
	}
	p.Deliver(m, s)
	return true
}

func TestAQueueGroupIsOneOverAllItsPatterns(t *testing.T) {
	r := newRig(t, fanout.Options{Shards: 4})
	all := newCollector() // hears what all of them hear, so that a double shows
	var members []*collector
	for _, pattern := range []string{"status.c1.*", "status.c1.*", "status.c1.engine", "status.c1.>", "status.c1.engine"} {
		c := newCollector()
		members = append(members, c)
		r.subscribe(pattern, "q", both{c, all})
	}
	other, tool := newCollector(), newCollector()
	r.subscribe("status.c1.engine", "another", other)
	r.subscribe("status.c1.tool", "q", tool)
	const each = 20
	for i := range each * len(members) {
		r.store("c1", "engine", fmt.Sprint(i))
	}
	all.waitFor(t, each*len(members))
	other.waitFor(t, each*len(members))
	for i, c := range members {
		got := c.waitFor(t, each)
		if len(got) != each || !slices.IsSorted(got) {
			t.Errorf("member %d got %v", i, got)
		}
	}
	if n := len(tool.seqs); n > 0 {
		t.Errorf("%d messages for a pattern that does not match", n)
	}
}

func TestAMemberThatTakesNoMoreIsPassedOver(t *testing.T) {
	r := newRig(t, fanout.Options{})
	first, second, rest := &picky{collector: newCollector()}, &picky{collector: newCollector()}, newCollector()
	first.takes.Store(3)
	second.takes.Store(5)
	r.subscribe("status.c1.*", "q", first)
	r.subscribe("status.c1.engine", "q", second)
	r.subscribe("status.c1.engine", "q", rest)
	for i := range 30 {
		r.store("c1", "engine", fmt.Sprint(i))
	}
	rest.waitFor(t, 22)
	if len(first.seqs) != 3 || len(second.seqs) != 5 || len(rest.seqs) != 22 {
		t.Fatalf("got %d, %d and %d", len(first.seqs), len(second.seqs), len(rest.seqs))
	}
}

func TestAMessageThatNobodyTakesIsDeliveredAllTheSame(t *testing.T) {
	r := newRig(t, fanout.Options{})
	only := &picky{collector: newCollector()}
	r.subscribe("status.c1.engine", "q", only)
	r.store("c1", "engine", "the receiver knows why it does not want it")
	only.waitFor(t, 1)
}

// held is a receiver that does not return until it is released.
type held struct {
	*collector
	reached, release chan struct{}
}

func (h held) Deliver(m *fanout.Message, s *fanout.Subscription) {
	select {
	case h.reached <- struct{}{}:
	default:
	}
	<-h.release
	h.collector.Deliver(m, s)
}

func TestWhatIsOnItsWayToTheLastMemberOfAPatternGoesToAnotherOne(t *testing.T) {
	r := newRig(t, fanout.Options{Shards: 1})
	slow := held{newCollector(), make(chan struct{}, 1), make(chan struct{})}
	r.subscribe("status.c2.engine", "", slow) // it holds up everything
	r.store("c2", "engine", "wait")
	<-slow.reached
	leaving, staying := newCollector(), newCollector()
	s := r.subscribe("status.c1.*", "q", leaving)
	r.subscribe("status.c1.engine", "q", staying)
	for i := range 50 {
		r.store("c1", "engine", fmt.Sprint(i)) // nats-server gives some to each pattern
	}
	r.fanout.Unsubscribe(s)
	for i := range 50 {
		r.store("c1", "engine", fmt.Sprint("more ", i))
	}
	close(slow.release)
	got := staying.waitFor(t, 100)
	if len(got) != 100 || !slices.IsSorted(got) || len(leaving.seqs) > 0 {
		t.Fatalf("got %v, and the one who left %v", got, leaving.seqs)
	}
	if n := r.fanout.Stats().Topics; n != 2 {
		t.Fatalf("%d topics are left", n)
	}
}

// A member of a browsers' group took a third of what a service's group of the same name
// was to get.
func TestABrowsersQueueGroupTakesNothingFromAGroupOfServices(t *testing.T) {
	r := newRig(t, fanout.Options{})
	services := newCollector()
	for range 2 {
		if _, err := r.live.QueueSubscribe("status.c1.*", "indexer", func(m *nats.Msg) {
			services.Deliver(&fanout.Message{Data: m.Data}, nil)
		}); err != nil {
			t.Fatal(err)
		}
	}
	browsers := newCollector()
	for range 3 {
		r.subscribe("status.c1.*", "indexer", browsers)
	}
	odd := newCollector() // a name that is no token
	r.subscribe("status.c1.*", "in dexer.*.>", odd)
	const n = 60
	for i := range n {
		r.store("c1", "engine", fmt.Sprint(i))
	}
	for what, c := range map[string]*collector{"services": services, "browsers": browsers, "browsers of an odd name": odd} {
		if got := c.waitFor(t, n); len(got) != n {
			t.Errorf("%s: %d statuses, want %d", what, len(got), n)
		}
	}
}
