package fanout_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/statuswire/statuswire/internal/fanout"
)

// fussy is a collector that declines what it is handed of one category.
type fussy struct {
	*collector
	not string // the subject
}

func (f fussy) Deliver(m *fanout.Message, s *fanout.Subscription) {
	if m.Subject == f.not {
		m.Decline()
	}
	f.collector.Deliver(m, s)
}

func (f fussy) DeliverRun(r *fanout.Run, s *fanout.Subscription) {
	for _, m := range r.Messages {
		f.Deliver(m, s)
	}
}

func noTool() fussy { return fussy{newCollector(), "status.c1.tool"} }

func TestWhatAReceiverDeclinesIsNoDelivery(t *testing.T) {
	const each = 10
	var tools atomic.Int64
	r := newRig(t, fanout.Options{Shards: 1, OnDelivered: func(m *fanout.Message, receivers int) {
		if m.Subject == "status.c1.tool" {
			tools.Add(int64(receivers))
		}
	}})
	runs, one, two, all := newRunner(), noTool(), noTool(), newCollector()
	if _, err := r.fanout.Subscribe(t.Context(), "status.c1.*", "", "1", runs); err != nil {
		t.Fatal(err)
	}
	r.subscribe("status.c1.*", "", one)
	r.subscribe("status.c1.*", "", two)
	r.subscribe("status.c1.*", "", all)
	r.store("c1", "engine", "first")
	<-runs.began // what follows comes as a run
	for i := range each {
		r.store("c1", "engine", fmt.Sprint(i))
		r.store("c1", "tool", fmt.Sprint(i))
	}
	close(runs.goOn)
	for _, c := range []*collector{runs.collector, one.collector, two.collector, all} {
		c.waitFor(t, 2*each+1)
	}
	eventually(t, "the count", func() bool {
		return r.fanout.Stats().Delivered == (each+1)*4+each*2 && tools.Load() == each*2
	})
}

func TestWhatIsDeclinedWhileFollowingIsNoDelivery(t *testing.T) {
	r := newRig(t, fanout.Options{})
	one, two, all := noTool(), noTool(), newCollector()
	r.subscribe("status.c1.*", "", one)
	r.subscribe("status.c1.*", "", two)
	r.subscribe("status.c1.*", "", all)
	r.without("status.c1.*", func() { r.store("c1", "engine", "unheard") })
	behind := noTool()
	s := r.subscribeAfter("status.c1.*", behind, fanout.Place{})
	behind.waitFor(t, 1)
	eventually(t, "it follows", s.Following) // the topic does not have the first one yet
	before := r.fanout.Stats().Delivered
	r.store("c1", "tool", "declined by three of four")
	for _, c := range []*collector{one.collector, two.collector, all, behind.collector} {
		c.wait(t, "the second status", func(c *collector) bool { return len(c.seqs) > 0 && c.seqs[len(c.seqs)-1] == 2 })
	}
	eventually(t, "the count", func() bool { return r.fanout.Stats().Delivered == before+1 })
}

func TestWhatAQueueGroupDeclinesIsNoDelivery(t *testing.T) {
	r := newRig(t, fanout.Options{})
	c := noTool()
	r.subscribe("status.c1.*", "q", c)
	r.store("c1", "tool", "declined")
	r.store("c1", "engine", "taken")
	c.waitFor(t, 2)
	eventually(t, "the count", func() bool { return r.fanout.Stats().Delivered == 1 })
}
