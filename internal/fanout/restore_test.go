package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/statuswire/statuswire/internal/fanout"
)

// restart has another fan-out take the place of the rig's.
func (r *rig) restart(opts fanout.Options) {
	r.t.Helper()
	if err := r.fanout.Stop(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.fanout = fanout.New(r.live, r.repair, opts)
	if err := r.fanout.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	f := r.fanout
	r.t.Cleanup(func() { _ = f.Stop(context.Background()) })
}

func TestAfterARestartWhatManyMissedIsReadOnce(t *testing.T) {
	const conversations = 100
	r := newRig(t, keep())
	places := map[string]fanout.Place{}
	subject := func(i int) string { return fmt.Sprintf("status.c%d.%s", i, []string{"engine", "*"}[i%2]) }
	for i := range conversations {
		places[subject(i)] = r.leave(subject(i))
	}
	for n := range 3 {
		for i := range conversations {
			r.store(fmt.Sprintf("c%d", i), "engine", fmt.Sprint(n))
		}
	}
	places["status.*.engine"], places["presence.c1"], places["no subject"] = fanout.Place{}, fanout.Place{}, fanout.Place{}
	r.restart(keep())
	before := r.repair.questions()
	if err := r.fanout.Restore(t.Context(), places); err != nil {
		t.Fatal(err)
	}
	// Positions of 100 subjects, the state before and after, two pages of statuses.
	if n := r.repair.questions() - before; n > 8 {
		t.Errorf("the stream was asked %d times", n)
	}
	if got := r.fanout.Stats(); got.Topics != conversations || got.Kept != conversations || got.Tail.Statuses != 3*conversations {
		t.Errorf("%+v", got)
	}
	for i := range conversations {
		r.store(fmt.Sprintf("c%d", i), "engine", "after the restart")
		r.settled(subject(i))
		c := newCollector()
		if !r.fromMemory(func() { r.subscribeAfter(subject(i), c, places[subject(i)]) }) {
			t.Fatalf("%s from the stream", subject(i))
		}
		n := uint64(i + 1)
		if got := c.waitFor(t, 4); !slices.Equal(got, []uint64{n, n + conversations, n + 2*conversations, n + 3*conversations}) {
			t.Fatalf("%s got %v", subject(i), got)
		}
		for k, m := range c.all {
			if want := fmt.Sprint(c.seqs[max(k-1, 0)]); k > 0 && m.Header.Get("Nats-Last-Sequence") != want {
				t.Errorf("%d stands behind %q, want %s", m.Sequence, m.Header.Get("Nats-Last-Sequence"), want)
			}
		}
	}
}

func TestWhoMissedNothingOverARestartNeedsNoStream(t *testing.T) {
	r := newRig(t, keep())
	r.store("c1", "engine", "1")
	place := r.leave("status.c1.engine")
	for range 10 {
		r.store("c2", "engine", "of others")
	}
	r.restart(keep())
	if err := r.fanout.Restore(t.Context(), map[string]fanout.Place{"status.c1.engine": place}); err != nil {
		t.Fatal(err)
	}
	if got := r.fanout.Stats(); got.Tail.Statuses != 0 {
		t.Errorf("%+v", got)
	}
	c := newCollector()
	if !r.fromMemory(func() { r.subscribeAfter("status.c1.engine", c, place) }) {
		t.Error("from the stream")
	}
	r.store("c1", "engine", "live")
	if got := c.waitFor(t, 1); !slices.Equal(got, []uint64{12}) {
		t.Errorf("got %v", got)
	}
}

func TestAPlaceOfAnotherEpochIsNotRestored(t *testing.T) {
	r := newRig(t, keep())
	r.store("c1", "engine", "1")
	r.restart(keep())
	place := fanout.Place{Epoch: "another", After: 0}
	if err := r.fanout.Restore(t.Context(), map[string]fanout.Place{"status.c1.engine": place}); err != nil {
		t.Fatal(err)
	}
	c := newCollector()
	if r.fromMemory(func() { r.subscribeAfter("status.c1.engine", c, place); c.waitFor(t, 1) }) {
		t.Error("from memory")
	}
	if told := c.truncations(); told[1] != "1" {
		t.Errorf("told %v", told)
	}
}

func TestWhoComesWhileItIsReadBackWaitsForThat(t *testing.T) {
	r := newRig(t, keep())
	place := r.leave("status.c1.engine")
	r.store("c1", "engine", "1")
	r.restart(keep())
	hold := make(chan struct{})
	r.repair.holdRange(hold)
	var restoring sync.WaitGroup
	restoring.Go(func() {
		if err := r.fanout.Restore(t.Context(), map[string]fanout.Place{"status.c1.engine": place}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "it is subscribed upstream", func() bool { return r.fanout.Stats().Topics == 1 })
	c := newCollector()
	var back sync.WaitGroup
	back.Go(func() {
		if _, err := r.fanout.SubscribeAfter(t.Context(), "status.c1.engine", "1", c, place); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the stream is being read", func() bool { return r.repair.ranging() })
	r.store("c1", "engine", "2")
	close(hold)
	restoring.Wait()
	back.Wait()
	if got := c.waitFor(t, 2); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("got %v", got)
	}
}

func TestWhatCannotBeReadBackIsOpenedAllTheSame(t *testing.T) {
	r := newRig(t, keep())
	place := r.leave("status.c1.engine")
	r.store("c1", "engine", "1")
	r.restart(keep())
	r.repair.refuse(errors.New("the stream is away"))
	if err := r.fanout.Restore(t.Context(), map[string]fanout.Place{"status.c1.engine": place}); err == nil {
		t.Error("no error")
	}
	r.repair.refuse(nil)
	c := newCollector()
	eventually(t, "somebody can subscribe", func() bool {
		_, err := r.fanout.SubscribeAfter(t.Context(), "status.c1.engine", "1", c, place)
		return err == nil
	})
	c.waitFor(t, 1)
}

func TestManyThatAreOpenedAtOnceAreAskedForTogether(t *testing.T) {
	const topics = 200
	r := newRig(t, fanout.Options{})
	for i := range topics {
		r.store(fmt.Sprintf("c%d", i), "engine", "1")
	}
	before := r.repair.questions()
	hold := make(chan struct{})
	r.repair.holdState(hold)
	var all sync.WaitGroup
	for i := range topics {
		all.Go(func() {
			s, err := r.fanout.Subscribe(t.Context(), fmt.Sprintf("status.c%d.engine", i), "", "1", newCollector())
			if err != nil {
				t.Error(err)
				return
			}
			if p, _ := r.fanout.Place(s); p.After < uint64(i+1) {
				t.Errorf("%d begins at %+v", i, p)
			}
		})
	}
	eventually(t, "all wait", func() bool { return r.fanout.Stats().Topics == topics })
	close(hold)
	all.Wait()
	if n := r.repair.questions() - before; n > topics/4 {
		t.Errorf("the stream was asked %d times for %d topics", n, topics)
	}
}
