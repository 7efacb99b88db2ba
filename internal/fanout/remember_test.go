package fanout_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/logtest"
)

// keep has topics kept for as long as a test may take.
func keep() fanout.Options { return fanout.Options{Keep: never} }

// leave has one be on the subject and go, and returns where it was.
func (r *rig) leave(subject string) fanout.Place {
	r.t.Helper()
	s := r.subscribe(subject, "", newCollector())
	defer r.fanout.Unsubscribe(s)
	p, ok := r.fanout.Place(s)
	if !ok {
		r.t.Fatalf("%s has no place", subject)
	}
	return p
}

// settled waits until the topic has passed all that is stored.
func (r *rig) settled(subject string) {
	r.t.Helper()
	s := r.subscribe(subject, "", newCollector())
	r.settle(s)
	r.fanout.Unsubscribe(s)
}

// fromMemory says whether the next ones who come back are served without the stream.
func (r *rig) fromMemory(do func()) bool {
	r.t.Helper()
	before := r.fanout.Stats()
	tried := r.repair.tried()
	do()
	var after fanout.Stats
	eventually(r.t, "somebody was served", func() bool {
		after = r.fanout.Stats()
		return after.Hits > before.Hits || after.Misses > before.Misses && r.repair.tried() > tried
	})
	if after.Hits > before.Hits && (after.Misses > before.Misses || r.repair.tried() > tried) {
		r.t.Fatalf("%+v, then %+v; %d replays", before, after, r.repair.tried()-tried)
	}
	return after.Hits > before.Hits
}

func TestWhoComesBackSoonIsServedFromMemory(t *testing.T) {
	for _, subject := range []string{"status.c1.engine", "status.c1.*"} {
		t.Run(subject, func(t *testing.T) {
			r := newRig(t, keep())
			r.store("c1", "engine", "1")
			r.store("c2", "engine", "2")
			place := r.leave(subject)
			if got := r.fanout.Stats(); got.Topics != 1 || got.Kept != 1 {
				t.Fatalf("%+v", got)
			}
			for i := range 5 {
				r.store("c1", "engine", fmt.Sprint(i+3))
				r.store("c2", "engine", "not theirs")
			}
			r.settled(subject)
			c := newCollector()
			if !r.fromMemory(func() {
				s := r.subscribeAfter(subject, c, place)
				if !s.Live() {
					t.Error("it still catches up")
				}
				if got, _ := r.fanout.Place(s); got.After < 11 && got.Seen["status.c1.engine"] != 11 {
					t.Errorf("it is at %+v", got)
				}
			}) {
				t.Fatal("from the stream")
			}
			r.store("c1", "engine", "live")
			if got := c.waitFor(t, 6); !slices.Equal(got, []uint64{3, 5, 7, 9, 11, 13}) {
				t.Fatalf("got %v", got)
			}
			for i, m := range c.all {
				if m.Replayed != (m.Sequence < 13) || m.Epoch != r.epoch() || m.Header.Get("Nats-Sequence") != fmt.Sprint(m.Sequence) {
					t.Errorf("%d: replayed %v, epoch %q, %v", m.Sequence, m.Replayed, m.Epoch, m.Header)
				}
				if i > 0 && m.Header.Get("Nats-Last-Sequence") != fmt.Sprint(m.Sequence-2) {
					t.Errorf("%d stands behind %q", m.Sequence, m.Header.Get("Nats-Last-Sequence"))
				}
			}
			if got := r.fanout.Stats(); got.Recalled != 5 || got.Kept != 0 || got.Tail.Statuses != 6 || got.Tail.Bytes < 6*100 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A place has what is behind its After on single subjects.
func TestWhatAPlaceNamesDoesNotComeAgainFromMemory(t *testing.T) {
	r := newRig(t, keep())
	place := r.leave("status.c1.*")
	for i := range 6 {
		r.store("c1", []string{"engine", "tool"}[i%2], fmt.Sprint(i+1))
	}
	r.settled("status.c1.*")
	place.Seen = map[string]uint64{"status.c1.engine": 3}
	c := newCollector()
	if !r.fromMemory(func() { r.subscribeAfter("status.c1.*", c, place) }) {
		t.Fatal("from the stream")
	}
	if got := c.waitFor(t, 4); !slices.Equal(got, []uint64{2, 4, 5, 6}) {
		t.Fatalf("got %v", got)
	}
}

func TestWhatIsNotRememberedIsReadFromTheStream(t *testing.T) {
	for _, c := range []struct {
		name string
		opts fanout.Options
		do   func(r *rig, p fanout.Place) fanout.Place
	}{
		{"nothing is remembered", fanout.Options{Keep: never, TailBytes: -1}, nil},
		{"it is more than is remembered", fanout.Options{Keep: never, MaxTail: 4}, nil},
		{"it is older than the topic", keep(), func(_ *rig, p fanout.Place) fanout.Place { p.After = 0; return p }},
		{"it is of an unknown epoch", keep(), func(_ *rig, p fanout.Place) fanout.Place { p.Epoch = ""; return p }},
		{"retention has dropped some of it", keep(), func(r *rig, p fanout.Place) fanout.Place {
			r.dropBelow(8)
			r.fanout.CheckEpoch()
			return p
		}},
		{"the stream cannot be asked what it has", keep(), func(r *rig, p fanout.Place) fanout.Place {
			r.repair.refuse(errors.New("the stream is away"))
			r.fanout.CheckEpoch()
			return p
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.opts)
			r.store("c1", "engine", "1")
			r.store("c1", "engine", "2")
			place := r.leave("status.c1.engine")
			for i := range 10 {
				r.store("c1", "engine", fmt.Sprint(i+3))
			}
			r.settled("status.c1.engine")
			if c.do != nil {
				place = c.do(r, place)
			}
			got := newCollector()
			if r.fromMemory(func() {
				r.subscribeAfter("status.c1.engine", got, place)
				got.wait(t, "the last one", func(c *collector) bool { return slices.Contains(c.seqs, 12) })
			}) {
				t.Fatal("from memory")
			}
			first := max(place.After+1, 1)
			if c.name == "retention has dropped some of it" {
				first = 8
				if told := got.truncations(); !maps.Equal(told, map[uint64]string{8: "8"}) {
					t.Errorf("told %v", told)
				}
			}
			if !slices.Equal(got.seqs, numbers(first, 12)) {
				t.Fatalf("got %v", got.seqs)
			}
		})
	}
}

func TestMuchIsHandedOverFromMemoryAsTheReceiverHasRoom(t *testing.T) {
	r := newRig(t, keep())
	place := r.leave("status.c1.*")
	const stored = 200
	for i := range stored {
		r.store("c1", []string{"engine", "tool"}[i%2], strings.Repeat("x", 1000))
	}
	r.settled("status.c1.*")
	g := newGate()
	var s *fanout.Subscription
	if !r.fromMemory(func() {
		s = r.subscribeAfter("status.c1.*", g, place)
		<-g.wait
		if got := len(g.seqs); got != 0 {
			t.Errorf("%d came before it was ready", got)
		}
		g.open <- nil
		g.collector.wait(t, "the first part", func(c *collector) bool { return len(c.seqs) > 0 })
		if got := len(g.seqs); got > 16 {
			t.Errorf("%d came at once", got)
		}
		r.store("c1", "engine", "meanwhile")
		close(g.open)
		r.waitLive(s)
	}) {
		t.Fatal("from the stream")
	}
	r.store("c1", "engine", "live")
	if got := g.waitFor(t, stored+2); !slices.Equal(got, numbers(1, stored+2)) {
		t.Fatalf("got %v", got)
	}
}

func TestAReceiverThatLosesItsPlaceInMemoryGoesOnFromTheStream(t *testing.T) {
	r := newRig(t, fanout.Options{Keep: never, MaxTail: 100})
	place := r.leave("status.c1.engine")
	for i := range 100 {
		r.store("c1", "engine", fmt.Sprint(i))
	}
	r.settled("status.c1.engine")
	g := newGate()
	s := r.subscribeAfter("status.c1.engine", g, place)
	g.open <- nil
	g.collector.wait(t, "the first part", func(c *collector) bool { return len(c.seqs) == 64 })
	<-g.wait
	for i := range 100 { // all of memory is newer now
		r.store("c1", "engine", fmt.Sprint(i))
	}
	r.settled("status.c1.engine")
	close(g.open)
	r.waitLive(s)
	if got := g.waitFor(t, 200); !slices.Equal(got, numbers(1, 200)) {
		t.Fatalf("got %v", got)
	}
	if got := r.fanout.Stats(); got.Hits != 0 || got.Misses != 1 || got.Recalled != 64 {
		t.Errorf("%+v", got)
	}
}

func TestAHoleThatRetentionMadeIsToldToWhoComesBackToo(t *testing.T) {
	r := newRig(t, fanout.Options{Keep: never, CheckEvery: never})
	here := newCollector()
	r.subscribe("status.c1.*", "", here)
	r.store("c1", "engine", "1")
	here.waitFor(t, 1)
	p := fanout.Place{Epoch: r.epoch(), After: 1}
	r.without("status.c1.*", func() {
		r.store("c1", "engine", "2")
		r.store("c1", "engine", "3")
		r.store("c1", "tool", "4")
	})
	r.dropBelow(3)
	r.store("c1", "tool", "5") // shows a hole; the other one is found by asking
	here.waitFor(t, 4)
	c := newCollector()
	s := r.subscribeAfter("status.c1.*", c, p)
	r.waitLive(s)
	if got := c.waitFor(t, 3); !slices.Equal(got, []uint64{3, 4, 5}) {
		t.Fatalf("got %v", got)
	}
	if told := c.truncations(); !maps.Equal(told, map[uint64]string{3: "3"}) {
		t.Errorf("told %v", told)
	}
}

// The stream would have had it, and memory does not.
func TestWhatWasLostOnItsWayIsLookedForWhenSomebodyComesBack(t *testing.T) {
	r := newRig(t, fanout.Options{Keep: never, CheckEvery: never})
	here := newCollector()
	r.subscribe("status.c1.*", "", here)
	place := r.leave("status.c1.*")
	r.without("status.c1.*", func() { r.store("c1", "engine", "1") })
	r.store("c1", "tool", "2")
	here.waitFor(t, 1)
	c := newCollector()
	if !r.fromMemory(func() { r.subscribeAfter("status.c1.*", c, place) }) {
		t.Fatal("from the stream")
	}
	if got := c.waitFor(t, 2); !slices.Equal(got, []uint64{2, 1}) {
		t.Errorf("got %v", got)
	}
	here.waitFor(t, 2)
}

func TestWhatIsDeletedIsNotServedFromMemory(t *testing.T) {
	for _, c := range []struct {
		name    string
		request func(r *rig) (subject, body string)
		left    []uint64
	}{
		{"all of it", func(*rig) (string, string) { return "PURGE", `` }, nil},
		{"all up to a sequence", func(*rig) (string, string) { return "PURGE", `{"seq":4}` }, []uint64{4, 5, 6}},
		{"a conversation", func(*rig) (string, string) { return "PURGE", `{"filter":"status.c1.>"}` }, nil},
		{"a category everywhere", func(*rig) (string, string) { return "PURGE", `{"filter":"status.*.engine"}` }, []uint64{2, 4, 6}},
		{"a single one", func(*rig) (string, string) { return "MSG.DELETE", `{"seq":3}` }, []uint64{1, 2, 4, 5, 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const may = `publish: { allow: ["$JS.API.STREAM.PURGE.STATUS"`
			r := newRigOn(t, fanout.Options{Keep: never, CheckEvery: 100 * time.Millisecond}, may, may+`, "$JS.API.STREAM.MSG.DELETE.STATUS"`)
			place := r.leave("status.c1.*")
			for i := range 6 {
				r.store("c1", []string{"engine", "tool"}[i%2], fmt.Sprint(i+1))
			}
			r.settled("status.c1.*")
			verb, body := c.request(r)
			answer, err := r.admin.Request("$JS.API.STREAM."+verb+".STATUS", []byte(body), 5*time.Second)
			if err != nil || !strings.Contains(string(answer.Data), `"success":true`) {
				t.Fatalf("%s %v", answer.Data, err)
			}
			r.flush() // behind the order
			eventually(t, "the order is heard", func() bool { return r.fanout.Stats().Tail.Statuses == 0 })
			got := newCollector()
			s := r.subscribeAfter("status.c1.*", got, place)
			eventually(t, "it has what is left", func() bool { return s.Live() || s.Following() })
			r.store("c1", "engine", "7")
			got.waitFor(t, len(c.left)+1)
			if want := append(c.left, 7); !slices.Equal(got.seqs, want) {
				t.Fatalf("got %v, want %v", got.seqs, want)
			}
			// It remembers again what comes behind it.
			r.fanout.Unsubscribe(s)
			eventually(t, "it is served from memory again", func() bool {
				p := r.leave("status.c1.*")
				r.store("c1", "engine", "later")
				r.settled("status.c1.*")
				last := newCollector()
				return r.fromMemory(func() {
					s := r.subscribeAfter("status.c1.*", last, p)
					last.waitFor(t, 1)
					r.fanout.Unsubscribe(s)
				})
			})
		})
	}
}

// An operator may be allowed to purge, and is in another account.
func TestAnOperatorsPurgeIsHeard(t *testing.T) {
	const (
		exported = `{ service: "$JS.API.STREAM.INFO.STATUS", accounts: [OPS] }`
		imported = `{ service: { account: STATUS, subject: "$JS.API.STREAM.INFO.STATUS" } }`
		allowed  = `"$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.>"`
		purge    = "$JS.API.STREAM.PURGE.STATUS"
	)
	r := newRigOn(t, keep(),
		exported, exported+"\n"+strings.ReplaceAll(exported, "$JS.API.STREAM.INFO.STATUS", purge),
		imported, imported+"\n"+strings.ReplaceAll(imported, "$JS.API.STREAM.INFO.STATUS", purge),
		allowed, allowed+`, "`+purge+`"`)
	place := r.leave("status.c1.engine")
	r.store("c1", "engine", "1")
	r.settled("status.c1.engine")
	if answer, err := r.operator().Request(purge, nil, 5*time.Second); err != nil || !strings.Contains(string(answer.Data), `"success":true`) {
		t.Fatalf("%v %v", answer, err)
	}
	eventually(t, "the order is heard", func() bool { return r.fanout.Stats().Tail.Statuses == 0 })
	r.store("c1", "engine", "2")
	c := newCollector()
	r.subscribeAfter("status.c1.engine", c, place)
	if got := c.waitFor(t, 1); !slices.Equal(got, []uint64{2}) {
		t.Fatalf("got %v", got)
	}
}

func TestWithoutEarsForWhatIsDeletedNobodyIsServedFromMemory(t *testing.T) {
	log := &logtest.Log{}
	opts := keep()
	opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	r := newRigOn(t, opts, `"$JS.API.STREAM.PURGE.STATUS", "$JS.API.STREAM.MSG.DELETE.STATUS"] } } }`, `"$JS.API.STREAM.PURGE.STATUS"] } } }`)
	eventually(t, "it is told", func() bool { return log.Count("does not let the fan-out hear") == 1 })
	place := r.leave("status.c1.engine")
	r.store("c1", "engine", "1")
	r.settled("status.c1.engine")
	c := newCollector()
	if r.fromMemory(func() { r.subscribeAfter("status.c1.engine", c, place); c.waitFor(t, 1) }) {
		t.Error("from memory")
	}
}

func TestAPurgeLeavesOtherConversationsInMemory(t *testing.T) {
	r := newRig(t, keep())
	place := r.leave("status.c1.engine")
	r.leave("status.c2.engine")
	r.store("c1", "engine", "1")
	r.store("c2", "engine", "2")
	r.settled("status.c1.engine")
	r.settled("status.c2.engine")
	if _, err := r.admin.Request("$JS.API.STREAM.PURGE.STATUS", []byte(`{"filter":"status.c2.*"}`), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the order is heard", func() bool { return r.fanout.Stats().Tail.Statuses == 1 })
	c := newCollector()
	if !r.fromMemory(func() { r.subscribeAfter("status.c1.engine", c, place) }) {
		t.Error("from the stream")
	}
	c.waitFor(t, 1)
}

func TestNothingIsRememberedOverALostConnection(t *testing.T) {
	r := newRig(t, fanout.Options{Keep: never, CheckEvery: never})
	place := r.leave("status.c1.engine")
	r.store("c1", "engine", "1")
	r.settled("status.c1.engine")
	if err := r.live.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	// An order that was given meanwhile would not have been heard.
	eventually(t, "it is forgotten", func() bool { return r.fanout.Stats().Tail.Statuses == 0 })
	c := newCollector()
	if r.fromMemory(func() { r.subscribeAfter("status.c1.engine", c, place); c.waitFor(t, 1) }) {
		t.Error("from memory")
	}
}
