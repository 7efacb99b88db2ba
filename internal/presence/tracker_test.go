package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/status"
)

// inBubble runs do with a tracker in a time of its own, when it is ready.
func inBubble(t *testing.T, do func(t *testing.T, p *presence.Tracker, b *bus)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bus{}
		p := onBus(t, b, "n1")
		time.Sleep(2 * time.Second)
		do(t, p, b)
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func onBus(t *testing.T, b presence.Wire, name string) *presence.Tracker {
	t.Helper()
	p, err := presence.NewOnWire(b, presence.Options{Node: name})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func users(list []presence.Member) (names []string) {
	for _, m := range list {
		names = append(names, fmt.Sprintf("%s:%d", m.User, m.Connections))
	}
	return names
}

func wantList(t *testing.T, p *presence.Tracker, c status.ConversationID, want ...string) {
	t.Helper()
	if got := users(p.List(c)); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", c, got, want)
	}
}

func TestAJoinIsAnnouncedAtOnceAndConfirmed(t *testing.T) {
	inBubble(t, func(t *testing.T, p *presence.Tracker, b *bus) {
		begun := time.Now().UTC().Truncate(time.Millisecond)
		p.Join("c1", "alice", 1)
		synctest.Wait()
		got := b.announcements(t, "c1")
		want := presence.Member{User: "alice", Connections: 1, Since: begun}
		if len(got) != 1 || !got[0].Reset || len(got[0].Joins) != 1 || got[0].Joins[0] != want || got[0].After != 0 {
			t.Fatalf("announced %+v, want %+v", got, want)
		}
		if list := p.List("c1"); len(list) != 1 || list[0] != want {
			t.Errorf("listed %+v", list)
		}
		time.Sleep(19 * time.Second)
		if early := b.announcements(t, "c1"); len(early) != 0 {
			t.Errorf("announced %+v", early)
		}
		time.Sleep(2 * time.Second)
		again := b.announcements(t, "c1")
		if len(again) != 1 || !again[0].Reset || len(again[0].Joins) != 1 || again[0].Joins[0] != want || again[0].Version <= got[0].Version {
			t.Errorf("confirmed by %+v", again)
		}
	})
}

func TestALeaveIsAnnouncedAfterTheGrace(t *testing.T) {
	inBubble(t, func(t *testing.T, p *presence.Tracker, b *bus) {
		p.Join("c1", "alice", 1)
		time.Sleep(time.Second)
		first := b.announcements(t, "c1")
		p.Leave("c1", "alice", 1)
		time.Sleep(5*time.Second - time.Millisecond)
		if got := b.announcements(t, "c1"); len(got) != 0 {
			t.Errorf("within the grace: %+v", got)
		}
		wantList(t, p, "c1", "alice:1")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		got := b.announcements(t, "c1")
		if len(got) != 1 || len(got[0].Leaves) != 1 || got[0].Leaves[0].User != "alice" || len(got[0].Joins) != 0 || got[0].Reset {
			t.Fatalf("after the grace: %+v", got)
		}
		if got[0].After != first[0].Version {
			t.Errorf("after %d, want %d", got[0].After, first[0].Version)
		}
		wantList(t, p, "c1")
	})
}

func TestAReloadDoesNotFlap(t *testing.T) {
	inBubble(t, func(t *testing.T, p *presence.Tracker, b *bus) {
		p.Join("c1", "alice", 1)
		time.Sleep(time.Second)
		since := p.List("c1")[0].Since
		b.announcements(t, "c1")
		for conn := range uint64(5) {
			p.Leave("c1", "alice", conn+1)
			time.Sleep(4 * time.Second)
			p.Join("c1", "alice", conn+2)
			time.Sleep(100 * time.Millisecond)
			wantList(t, p, "c1", "alice:1")
		}
		for _, a := range b.announcements(t, "c1") {
			if !a.Reset || len(a.Joins) != 1 { // only the confirmation of the beginning
				t.Errorf("a reload was announced: %+v", a)
			}
		}
		if got := p.List("c1")[0].Since; !got.Equal(since) {
			t.Errorf("since %v, want %v", got, since)
		}
	})
}

func TestEachUserCountsConnectionsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, p *presence.Tracker, _ *bus) {
		p.Join("c1", "alice", 1)
		p.Join("c1", "alice", 1)
		time.Sleep(time.Millisecond)
		p.Join("c1", "bob", 2)
		p.Join("c1", "alice", 3)
		p.Join("c2", "alice", 1)
		wantList(t, p, "c1", "alice:2", "bob:1")
		wantList(t, p, "c2", "alice:1")
		p.Leave("c1", "alice", 3)
		p.Leave("c1", "alice", 3)
		p.Leave("c1", "alice", 99)
		p.Leave("c9", "alice", 1)
		p.Leave("c1", "carol", 1)
		time.Sleep(6 * time.Second)
		wantList(t, p, "c1", "alice:1", "bob:1")
		if s := p.Stats(); s.Connections != 3 || s.Members != 3 || s.Conversations != 2 || s.Nodes != 1 || !s.Ready {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestManyChangesOfOneConversationGoTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, p *presence.Tracker, b *bus) {
		for i := range 1000 {
			p.Join("c1", status.UserID(fmt.Sprint(i)), uint64(i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		got, joined := b.announcements(t, "c1"), 0
		for _, a := range got {
			joined += len(a.Joins)
			if len(a.Joins) > 200 {
				t.Errorf("%d joins in one announcement", len(a.Joins))
			}
		}
		if joined != 1000 || len(got) > 12 {
			t.Errorf("%d joins in %d announcements", joined, len(got))
		}
	})
}

func TestASilentNodesMembersLeaveAfterThreeSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := &bus{}, &bus{}
		b := &relay{a: near, b: far}
		p, q := onBus(t, b.side(near), "n1"), onBus(t, b.side(far), "n2")
		q.Join("c1", "alice", 1)
		time.Sleep(3 * time.Second)
		wantList(t, p, "c1", "alice:1")
		b.cut()
		time.Sleep(13 * time.Second)
		wantList(t, p, "c1", "alice:1")
		time.Sleep(5 * time.Second)
		wantList(t, p, "c1")
		wantList(t, q, "c1", "alice:1")
		b.join()
		time.Sleep(6 * time.Second)
		wantList(t, p, "c1", "alice:1")
		for _, x := range []*presence.Tracker{p, q} {
			if err := x.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTheMembersOfANodeThatSaysByeLeaveAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bus{}
		p, q := onBus(t, b, "n1"), onBus(t, b, "n2")
		q.Join("c1", "alice", 1)
		time.Sleep(3 * time.Second)
		if err := q.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(4 * time.Second)
		wantList(t, p, "c1", "alice:1")
		time.Sleep(2 * time.Second)
		wantList(t, p, "c1")
		if s := p.Stats(); s.Nodes != 1 {
			t.Errorf("stats %+v", s)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTheLastNodeSaysThatNobodyIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bus{}
		p := onBus(t, b, "n1")
		p.Join("c1", "alice", 1)
		time.Sleep(3 * time.Second)
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		got := b.announcements(t, "c1")
		if last := got[len(got)-1]; len(last.Leaves) != 1 || last.Leaves[0].User != "alice" {
			t.Errorf("last announced %+v", last)
		}
	})
}

// The wire itself: permissions of nats.conf, the subjects, two nodes on one server.

func TestTwoNodesOnOneServer(t *testing.T) {
	e, _ := startEngine(t)
	opts := presence.Options{Settle: 50 * time.Millisecond, Grace: 300 * time.Millisecond}
	opts.Node = "n1"
	p := startTracker(t, connect(t, e, engine.PartPresence), opts)
	opts.Node = "n2"
	q := startTracker(t, connect(t, e, engine.PartPresence), opts)
	eventually(t, "both are ready", func() bool {
		return p.Stats().Ready && q.Stats().Ready && p.Stats().Nodes == 2 && q.Stats().Nodes == 2
	})
	fan := connect(t, e, engine.PartFanout)
	watches := map[status.ConversationID]*watcher{}
	subs := map[status.ConversationID]*nats.Subscription{}
	for i := range 10 {
		c := status.ConversationID(fmt.Sprintf("c%d", i))
		sub, err := fan.SubscribeSync(status.PresenceSubject(c))
		if err != nil {
			t.Fatal(err)
		}
		watches[c], subs[c] = &watcher{}, sub
	}
	if err := fan.Flush(); err != nil {
		t.Fatal(err)
	}
	running := []*presence.Tracker{p, q}
	both := func(want string) {
		t.Helper()
		for c, w := range watches {
			for i, x := range running {
				eventually(t, fmt.Sprintf("n%d lists %s in %s", i+1, want, c), func() bool { return fmt.Sprint(users(x.List(c))) == want })
			}
			eventually(t, fmt.Sprintf("the watcher of %s sees %s", c, want), func() bool {
				for {
					m, err := subs[c].NextMsg(time.Millisecond)
					if err != nil {
						return len(w.list) == len(p.List(c)) && fmt.Sprint(counts(p.List(c))) == fmt.Sprint(countsOf(w))
					}
					w.apply(t, m.Data)
				}
			})
		}
	}
	for c := range watches {
		p.Join(c, "alice", 1)
	}
	both("[alice:1]")
	for c := range watches {
		q.Join(c, "bob@example.com", 1)
		q.Join(c, "alice", 2)
	}
	both("[alice:2 bob@example.com:1]")
	for c := range watches {
		q.Leave(c, "bob@example.com", 1)
		p.Leave(c, "alice", 1)
	}
	both("[alice:1]")
	if a, b := p.Stats().Announced, q.Stats().Announced; a == 0 || b == 0 {
		t.Errorf("one of the two announced everything: %d, %d", a, b)
	}
	stop(t, q.Stop)
	running = running[:1]
	both("[]")
}

func countsOf(w *watcher) map[status.UserID]int {
	var list []presence.Member
	for _, m := range w.list {
		list = append(list, m)
	}
	return counts(list)
}

func TestARestartedNodeReplacesItsOldMembersAtOnce(t *testing.T) {
	e, _ := startEngine(t)
	opts := presence.Options{Settle: 50 * time.Millisecond, Grace: time.Minute}
	opts.Node = "n1"
	p := startTracker(t, connect(t, e, engine.PartPresence), opts)
	opts.Node = "n2"
	nc := connect(t, e, engine.PartPresence)
	q := startTracker(t, nc, opts)
	q.Join("c1", "alice", 1)
	eventually(t, "alice is seen", func() bool { return len(p.List("c1")) == 1 })
	nc.Close() // as if the process had been killed
	startTracker(t, connect(t, e, engine.PartPresence), opts)
	eventually(t, "alice is not seen any more", func() bool { return len(p.List("c1")) == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := q.Stop(ctx); err == nil {
		t.Error("a closed connection stopped without an error")
	}
}

func TestNonsenseOnTheWireIsCountedAndLeftAlone(t *testing.T) {
	e, _ := startEngine(t)
	opts := presence.Options{Node: "n1", Settle: 10 * time.Millisecond, MaxNodes: 3}
	p := startTracker(t, connect(t, e, engine.PartPresence), opts)
	other := connect(t, e, engine.PartPresence)
	publish := func(verb, data string) {
		if err := other.Publish("presence.node."+verb, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	publish("diff", "nonsense")
	publish("kick", `{"node":"n2","incarnation":1}`)
	publish("diff", `{"node":"n2","incarnation":1,"members":[{"c":"c 1","u":"mallory","n":1}]}`)
	publish("diff", `{"node":"n1","incarnation":1,"seq":0,"ready":false,"members":[{"c":"c1","u":"mallory","n":1}]}`)
	for i := range 10 {
		publish("snapshot", fmt.Sprintf(`{"node":"x%d","incarnation":1,"seq":0,"ready":false}`, i))
	}
	p.Join("c1", "alice", 1)
	eventually(t, "all is received", func() bool { s := p.Stats(); return s.Invalid == 3 && s.Overflow == 7 })
	if s := p.Stats(); s.Nodes != 4 || s.Members != 1 {
		t.Errorf("stats %+v", s)
	}
	wantList(t, p, "c1", "alice:1")
}

func TestServicesHearAnnouncementsButNotTheNodes(t *testing.T) {
	e, set := startEngine(t)
	public, err := set.Service.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	service, err := nats.Connect(e.ClientURL(), nats.Nkey(public, set.Service.Sign))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	sub, err := service.SubscribeSync("presence.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
	p := startTracker(t, connect(t, e, engine.PartPresence), presence.Options{Settle: time.Millisecond})
	p.Join("node", "alice", 1) // a conversation like any other
	m, err := sub.NextMsg(soon)
	if err != nil {
		t.Fatal(err)
	}
	var a presence.Announcement
	if err := json.Unmarshal(m.Data, &a); err != nil || m.Subject != "presence.node" || len(a.Joins) != 1 {
		t.Errorf("%s %s", m.Subject, m.Data)
	}
}

func TestItHasOneLife(t *testing.T) {
	e, _ := startEngine(t)
	nc := connect(t, e, engine.PartPresence)
	p, err := presence.New(nc, presence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.Join("c1", "early", 1) // before Start is fine
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); !errors.Is(err, presence.ErrStarted) {
		t.Errorf("started twice: %v", err)
	}
	wantList(t, p, "c1", "early:1")
	stop(t, p.Stop)
	stop(t, p.Stop)
	p.Join("c1", "late", 2)
	wantList(t, p, "c1", "early:1")
	if err := p.Start(t.Context()); !errors.Is(err, presence.ErrStarted) {
		t.Errorf("started after the stop: %v", err)
	}
	q, err := presence.New(nc, presence.Options{Node: "n2"})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, q.Stop)
}

func TestMembersBeyondTheBoundAreLeftOut(t *testing.T) {
	n := presence.NewNode("n1", 1, presence.Options{MaxMembers: 2})
	now := time.Unix(1, 0)
	n.Start(now)
	for i, u := range []status.UserID{"a", "b", "c", "no\nuser"} {
		n.Join(now, "c1", u, uint64(i))
	}
	if got := users(n.List("c1")); !slices.Equal(got, []string{"a:1", "b:1"}) {
		t.Errorf("listed %v", got)
	}
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	for _, o := range []presence.Options{
		{Grace: -1}, {SnapshotInterval: time.Microsecond}, {MaxMembers: -1}, {MaxNodes: 5000}, {Node: "a\nb"},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if err := presence.DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
	if _, err := presence.New(nil, presence.Options{}); err == nil {
		t.Error("no connection was accepted")
	}
}

// relay joins two buses until it is cut.
type relay struct {
	a, b  *bus
	apart atomic.Bool
}

func (r *relay) cut()  { r.apart.Store(true) }
func (r *relay) join() { r.apart.Store(false) }

func (r *relay) side(own *bus) *end { return &end{own, r} }

// end is a node's end of a relay.
type end struct {
	*bus
	relay *relay
}

func (e *end) Publish(subject string, data []byte) error {
	for _, b := range []*bus{e.relay.a, e.relay.b} {
		if b == e.bus || !e.relay.apart.Load() {
			if err := b.Publish(subject, data); err != nil {
				return err
			}
		}
	}
	return nil
}
