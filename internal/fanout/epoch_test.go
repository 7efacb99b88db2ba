package fanout_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/status"
)

// becomes has the stream be another one from now on; "" for what it is.
func (s *stream) becomes(epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = epoch
}

func (r *rig) epoch() string {
	r.t.Helper()
	epoch, err := r.repair.reader.Epoch(r.t.Context())
	if err != nil || epoch == "" {
		r.t.Fatal(epoch, err)
	}
	return epoch
}

// The sequence would do: the stream has more.
func TestAPlaceOfAnotherEpochIsNoPlace(t *testing.T) {
	r := newRig(t, fanout.Options{RetryWait: time.Millisecond})
	for _, text := range []string{"1", "2", "3"} {
		r.store("c1", "engine", text)
	}
	for _, place := range []fanout.Place{
		{Epoch: "another", After: 2},
		{Epoch: "another", Seen: map[string]uint64{"status.c1.engine": 3}},
		{Epoch: "another"},
	} {
		c := newCollector()
		s, err := r.fanout.SubscribeAfter(t.Context(), "status.c1.*", "1", c, place)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.waitFor(t, 3); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Fatalf("after %+v came %v", place, got)
		}
		if told := c.all[0].Header.Get(status.HeaderTruncated); told != "1" || c.all[1].Header.Get(status.HeaderTruncated) != "" {
			t.Errorf("after %+v the first one tells %q, the second %q", place, told, c.all[1].Header.Get(status.HeaderTruncated))
		}
		eventually(t, "it is live", s.Live)
		if at, ok := r.fanout.Place(s); !ok || at.Epoch != r.epoch() {
			t.Errorf("it is at %+v, the epoch is %s", at, r.epoch())
		}
		r.fanout.Unsubscribe(s)
	}
}

func TestEveryStatusSaysItsEpoch(t *testing.T) {
	r := newRig(t, fanout.Options{})
	r.store("c1", "engine", "stored")
	c := newCollector()
	s, err := r.fanout.SubscribeAfter(t.Context(), "status.c1.*", "1", c, fanout.Place{})
	if err != nil {
		t.Fatal(err)
	}
	r.flush()
	c.waitFor(t, 1)
	eventually(t, "it is live", s.Live)
	r.store("c1", "engine", "live")
	r.without("status.c1.*", func() { r.store("c1", "engine", "missing") })
	r.store("c1", "engine", "live again")
	c.waitFor(t, 4)
	for i, m := range c.all {
		if m.Epoch != r.epoch() {
			t.Errorf("%d, %s, is of %q, want %q", i, m.Data, m.Epoch, r.epoch())
		}
	}
}

func TestAStreamThatIsMadeAnewEndsWhatIsOfTheOldOne(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: 50 * time.Millisecond})
	r.store("c1", "engine", "1")
	subjects := []string{"status.c1.*", "status.c1.engine", "status.*.engine"}
	var all []*collector
	for _, subject := range subjects {
		c := newCollector()
		all = append(all, c)
		r.subscribe(subject, "", c)
	}
	presence, behind := newCollector(), newCollector()
	r.subscribe("presence.c1", "", presence)
	if _, err := r.fanout.SubscribeAfter(t.Context(), "status.c1.*", "2", behind, fanout.Place{}); err != nil {
		t.Fatal(err)
	}
	all = append(all, behind)
	live := r.live.NumSubscriptions()
	r.repair.becomes("another")
	for i, c := range all[:2] {
		c.wait(t, subjects[i]+" ends", func(c *collector) bool { return len(c.ended) == 1 && strings.Contains(c.ended[0], "reset") })
	}
	behind.wait(t, "what was still reading ends", func(c *collector) bool { return len(c.ended) == 1 })
	eventually(t, "nothing of it is left upstream", func() bool { return r.live.NumSubscriptions() <= live-2 })
	if n := len(presence.ended); n != 0 {
		t.Error("presence is in no stream, and ended")
	}

	// Who comes back has a topic of the new one, and it stays.
	c := newCollector()
	s := r.subscribe("status.c1.*", "", c)
	if at, _ := r.fanout.Place(s); at.Epoch != "another" {
		t.Errorf("it begins at %+v", at)
	}
	r.store("c1", "engine", "2")
	c.waitFor(t, 1)
	r.repair.becomes("yet another") // the wildcard has learned of the one before, or of this
	c.wait(t, "it ends", func(c *collector) bool { return len(c.ended) == 1 })
	all[2].wait(t, "the wildcard ends", func(c *collector) bool { return len(c.ended) == 1 })
}
