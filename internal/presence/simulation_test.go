package presence_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/status"
)

// world is nodes, watchers of every conversation beside each node, and a network
// between them that loses, doubles and delays, in a time of its own.
type world struct {
	t     *testing.T
	r     *rand.Rand
	seed  uint64
	now   time.Time
	nodes map[string]*host
	// apart names pairs of nodes between which nothing passes.
	apart map[string]bool
	rough bool // the network between nodes loses and doubles
	born  uint64
	sent  int
	opts  presence.Options
}

type host struct {
	*presence.Node
	name    string
	up      bool
	next    time.Time
	inbox   []delivery
	watch   map[status.ConversationID]*watcher
	connect map[connection]bool // what the gateway of the node has
	missed  int                 // announcements to the watchers here that are still to be lost
}

type connection struct {
	conversation status.ConversationID
	user         status.UserID
	conn         uint64
}

type delivery struct {
	at time.Time
	presence.Packet
}

// watcher applies announcements as they come, as docs/protocol.md says.
type watcher struct {
	version uint64
	list    map[status.UserID]presence.Member
}

func (w *watcher) apply(t *testing.T, data []byte) {
	var a presence.Announcement
	if err := json.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	if a.Reset {
		w.list = nil
	}
	if w.list == nil {
		w.list = map[status.UserID]presence.Member{}
	}
	for _, m := range a.Joins {
		w.list[m.User] = m
	}
	for _, l := range a.Leaves {
		delete(w.list, l.User)
	}
	w.version = a.Version
}

func (h *host) watcher(c status.ConversationID) *watcher {
	if h.watch[c] == nil {
		h.watch[c] = &watcher{list: map[status.UserID]presence.Member{}}
	}
	return h.watch[c]
}

// subscribe has watchers beside the node who begin with its list.
func (h *host) subscribe() {
	h.watch = map[status.ConversationID]*watcher{}
	for i := range 4 {
		c := status.ConversationID(fmt.Sprintf("c%d", i))
		for _, m := range h.List(c) {
			h.watcher(c).list[m.User] = m
		}
	}
}

func newWorld(t *testing.T, seed uint64, nodes int) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 4)), seed: seed, now: time.Unix(1_700_000_000, 0),
		nodes: map[string]*host{}, apart: map[string]bool{}, opts: presence.Options{},
	}
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		w.nodes[name] = &host{name: name, watch: map[status.ConversationID]*watcher{}}
		w.boot(name)
	}
	return w
}

func (w *world) names() []string { return slices.Sorted(maps.Keys(w.nodes)) }

func (w *world) boot(name string) {
	w.born++
	h := w.nodes[name]
	h.Node, h.up, h.inbox = presence.NewNode(name, w.born, w.opts), true, nil
	h.connect = map[connection]bool{}
	h.Start(w.now)
	h.next = w.now
}

// post carries what a node publishes to everybody.
func (w *world) post(from *host, packets []presence.Packet) {
	// The order of subjects within a step is not determined; of one subject it is.
	slices.SortStableFunc(packets, func(a, b presence.Packet) int { return cmp.Compare(a.Subject, b.Subject) })
	for _, p := range packets {
		w.sent++
		announcement := !strings.HasPrefix(p.Subject, "presence.node.")
		for _, name := range w.names() {
			to := w.nodes[name]
			if w.apart[pair(from.name, name)] {
				continue
			}
			if announcement {
				if to.missed > 0 {
					to.missed--
					continue
				}
				if c := status.ConversationID(strings.TrimPrefix(p.Subject, "presence.")); to.watch != nil {
					to.watcher(c).apply(w.t, p.Data)
				}
				continue
			}
			copies := 1
			if w.rough {
				copies = w.r.IntN(3)
			}
			for range copies {
				delay := time.Duration(w.r.Int64N(int64(20 * time.Millisecond)))
				if w.rough {
					delay = time.Duration(w.r.Int64N(int64(3 * time.Second)))
				}
				to.inbox = append(to.inbox, delivery{w.now.Add(delay), p})
			}
		}
	}
}

func pair(a, b string) string { return min(a, b) + "|" + max(a, b) }

// run lets the time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		at := end
		for _, h := range w.nodes {
			if !h.up {
				continue
			}
			if h.next.Before(at) {
				at = h.next
			}
			for _, m := range h.inbox {
				if m.at.Before(at) {
					at = m.at
				}
			}
		}
		if at.After(w.now) {
			w.now = at
		}
		if !w.now.Before(end) {
			return
		}
		for _, name := range w.names() {
			if h := w.nodes[name]; h.up {
				w.turn(h)
			}
		}
	}
}

// turn lets a node take what has arrived and do what is due.
func (w *world) turn(h *host) {
	slices.SortStableFunc(h.inbox, func(a, b delivery) int { return a.at.Compare(b.at) })
	for len(h.inbox) > 0 && !h.inbox[0].at.After(w.now) {
		p := h.inbox[0].Packet
		h.inbox = h.inbox[1:]
		if err := h.Receive(w.now, p); err != nil {
			w.t.Fatalf("seed %d: %s %s: %v", w.seed, p.Subject, p.Data, err)
		}
		h.next = w.now
	}
	if h.next.After(w.now) {
		return
	}
	out, next := h.Step(w.now)
	if !next.After(w.now) {
		w.t.Fatalf("seed %d: step wants to be called again at once", w.seed)
	}
	h.next = next
	w.post(h, out)
}

// act does something at random on a node.
func (w *world) act() {
	names := w.names()
	h := w.nodes[names[w.r.IntN(len(names))]]
	if !h.up {
		if w.r.IntN(3) == 0 {
			w.boot(h.name)
		}
		return
	}
	switch n := w.r.IntN(100); {
	case n < 50:
		w.join(h, status.ConversationID(fmt.Sprintf("c%d", w.r.IntN(4))), status.UserID(fmt.Sprintf("u%d", w.r.IntN(3))), uint64(w.r.IntN(4)))
	case n < 92:
		if here := h.connections(); len(here) > 0 {
			w.leave(h, here[w.r.IntN(len(here))])
		}
	case n < 94:
		w.crash(h)
	case n < 96:
		w.post(h, h.Bye(w.now))
		w.crash(h)
	default:
		other := names[w.r.IntN(len(names))]
		w.apart[pair(h.name, other)] = other != h.name && w.r.IntN(2) == 0
	}
}

func (h *host) connections() []connection {
	return slices.SortedFunc(maps.Keys(h.connect), func(a, b connection) int {
		return cmp.Or(cmp.Compare(a.conversation, b.conversation), cmp.Compare(a.user, b.user), cmp.Compare(a.conn, b.conn))
	})
}

func (w *world) join(h *host, c status.ConversationID, u status.UserID, conn uint64) {
	h.connect[connection{c, u, conn}] = true
	h.Join(w.now, c, u, conn)
	h.next = w.now
}

func (w *world) leave(h *host, c connection) {
	delete(h.connect, c)
	h.Leave(w.now, c.conversation, c.user, c.conn)
	h.next = w.now
}

// crash ends a node and the connections of the watchers beside it.
func (w *world) crash(h *host) { h.up, h.connect, h.watch = false, nil, nil }

// truth is who is connected, as the gateways have it: user → connections.
func (w *world) truth(c status.ConversationID) map[status.UserID]int {
	out := map[status.UserID]int{}
	for _, h := range w.nodes {
		for k := range h.connect {
			if k.conversation == c {
				out[k.user]++
			}
		}
	}
	return out
}

func counts(list []presence.Member) map[status.UserID]int {
	out := map[status.UserID]int{}
	for _, m := range list {
		out[m.User] = m.Connections
	}
	return out
}

// Which conversations' watchers check looks at. After several nodes have failed at
// the same time it may be that nobody is left who knows that somebody was told of a
// conversation's last member. A browser does not see that: who watches is present.
const (
	all       = false
	inhabited = true
)

// check wants every node and every watcher to have the truth, and the same list.
func (w *world) check(inhabited bool) {
	w.t.Helper()
	for i := range 4 {
		c := status.ConversationID(fmt.Sprintf("c%d", i))
		want := w.truth(c)
		var list []presence.Member
		for _, name := range w.names() {
			h := w.nodes[name]
			if !h.up {
				continue
			}
			got := h.List(c)
			if !maps.Equal(counts(got), want) {
				w.t.Errorf("seed %d: %s lists %v in %s, want %v", w.seed, name, got, c, want)
			}
			if list == nil {
				list = got
			}
			if !slices.Equal(got, list) {
				w.t.Errorf("seed %d: %s lists %v in %s, another %v", w.seed, name, got, c, list)
			}
		}
		for _, name := range w.names() {
			if inhabited && len(want) == 0 {
				break
			}
			seen := slices.SortedFunc(maps.Values(w.nodes[name].watcher(c).list), func(a, b presence.Member) int {
				return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.User, b.User))
			})
			if !slices.Equal(seen, list) {
				w.t.Errorf("seed %d: a watcher beside %s sees %v in %s, want %v", w.seed, name, seen, c, list)
			}
		}
	}
}

func TestNodesAndWatchersConvergeAfterLossDoublesDelaysCrashesAndPartitions(t *testing.T) {
	for seed := range uint64(80) {
		w := newWorld(t, seed, 1+int(seed%4))
		w.rough = seed%2 == 1
		for range 100 {
			w.act()
			w.run(time.Duration(w.r.Int64N(int64(2 * time.Second))))
		}
		clear(w.apart)
		w.rough = false
		for _, name := range w.names() {
			if !w.nodes[name].up {
				w.boot(name)
			}
		}
		w.run(10 * time.Second)
		for _, h := range w.nodes {
			if h.watch == nil {
				h.subscribe()
			}
		}
		w.run(6 * time.Minute)
		w.check(inhabited)
		for i := range 4 {
			w.join(w.nodes["n1"], status.ConversationID(fmt.Sprintf("c%d", i)), "u0", 9)
		}
		w.run(time.Minute)
		w.check(all)
		if t.Failed() {
			return
		}

		for _, h := range w.nodes { // and nothing is left when all have gone
			for c := range h.connect {
				w.leave(h, c)
			}
		}
		w.run(6 * time.Minute)
		w.check(all)
		for name, h := range w.nodes {
			if n := h.Size(); n != 0 {
				t.Fatalf("seed %d: %s remembers %d things of nobody", seed, name, n)
			}
		}
	}
}

func TestAWatcherThatMissedTheLastAnnouncementIsSetRight(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.run(5 * time.Second)
	w.join(w.nodes["n1"], "c1", "alice", 1)
	w.run(time.Second)
	w.nodes["n2"].missed = 1
	w.join(w.nodes["n2"], "c1", "bob", 1)
	w.run(time.Second)
	if got := len(w.nodes["n2"].watch["c1"].list); got != 1 {
		t.Fatalf("the watcher sees %d members: it missed nothing", got)
	}
	w.run(20 * time.Second)
	w.check(all)
}

func TestChangesOfAQuietClusterAreSeenEverywhereAtOnce(t *testing.T) {
	w := newWorld(t, 2, 3)
	w.run(10 * time.Second)
	for i, name := range w.names() {
		w.join(w.nodes[name], "c0", status.UserID(fmt.Sprintf("u%d", i)), 1)
		w.join(w.nodes[name], "c1", "alice", 1)
	}
	w.run(400 * time.Millisecond) // two network delays, and the spacing
	w.check(all)
}

func TestOneNodeAloneSendsOnlySignsOfLife(t *testing.T) {
	w := newWorld(t, 3, 1)
	w.join(w.nodes["n1"], "c1", "alice", 1)
	w.run(time.Minute)
	// 13 signs of life and one when it was ready; one announcement, confirmed once.
	if w.sent > 16 {
		t.Errorf("%d messages in a minute", w.sent)
	}
	w.check(all)
}
