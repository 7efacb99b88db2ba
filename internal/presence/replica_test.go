package presence_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/status"
)

// life is a node's life as the messages it sent, and what is true at its end.
type life struct {
	messages []presence.Message
	truth    map[string]int
}

// live makes up a life of some incarnations. The last message is a whole snapshot.
func live(r *rand.Rand, incarnations int) life {
	var l life
	for inc := 1; inc <= incarnations; inc++ {
		l.truth = map[string]int{}
		entries := map[string]presence.Entry{}
		var seq uint64
		send := func(m presence.Message, verb string) {
			m.Node, m.Incarnation, m.Seq, m.Ready = "n1", uint64(inc), seq, seq > 5
			l.messages = append(l.messages, m.As(verb))
		}
		snapshot := func() {
			cut := r.IntN(presence.NumBuckets + 1)
			for _, part := range [][2]int{{0, cut}, {cut, presence.NumBuckets}} {
				m := presence.Message{From: part[0], To: part[1]}
				for _, e := range entries {
					if b := e.Bucket(); e.Connections > 0 && b >= part[0] && b < part[1] {
						m.Entries = append(m.Entries, e)
					}
				}
				send(m, presence.VerbSnapshot)
			}
		}
		for range r.IntN(30) + 1 {
			seq++
			var m presence.Message
			for range r.IntN(3) + 1 {
				e := presence.Entry{
					Conversation: status.ConversationID(fmt.Sprintf("c%d", r.IntN(3))),
					User:         status.UserID(fmt.Sprintf("u%d", r.IntN(4))),
					Connections:  max(0, r.IntN(5)-2), Since: 1000 + r.Int64N(1000),
				}
				name := string(e.Conversation) + "/" + string(e.User)
				if slices.ContainsFunc(m.Entries, func(o presence.Entry) bool { return o.Conversation == e.Conversation && o.User == e.User }) {
					continue
				}
				entries[name] = e
				m.Entries = append(m.Entries, e)
				if l.truth[name] = e.Connections; e.Connections == 0 {
					delete(l.truth, name)
				}
			}
			send(m, presence.VerbDiff)
			if r.IntN(4) == 0 {
				snapshot()
			}
		}
		if inc < incarnations && r.IntN(2) == 0 {
			send(presence.Message{}, presence.VerbBye)
		}
		snapshot()
	}
	return l
}

func apply(messages []presence.Message) *presence.Replica {
	r := &presence.Replica{}
	for _, m := range messages {
		r.Apply(m, 1000)
	}
	return r
}

func TestReplicasConvergeWhateverTheOrderAndHoweverOften(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := live(r, 1+r.IntN(3))
		some := slices.DeleteFunc(slices.Clone(l.messages), func(presence.Message) bool { return r.IntN(4) == 0 })
		want := apply(some).State()

		other := slices.Clone(some)
		for range r.IntN(10) {
			if len(some) > 0 {
				other = append(other, some[r.IntN(len(some))])
			}
		}
		r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		if got := apply(other).State(); got != want {
			t.Fatalf("seed %d: in another order\n%s\nin order\n%s", seed, got, want)
		}
	}
}

func TestASnapshotMakesUpForEverythingLost(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		l := live(r, 1+r.IntN(3))
		last := len(l.messages) - 2 // the final snapshot's two parts
		some := slices.DeleteFunc(slices.Clone(l.messages[:last]), func(presence.Message) bool { return r.IntN(2) == 0 })
		some = append(some, l.messages[last:]...)
		r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		got := apply(some)
		if !maps.Equal(got.Visible(), l.truth) {
			t.Fatalf("seed %d: got %v, want %v", seed, got.Visible(), l.truth)
		}
		if got.Count() < len(l.truth) {
			t.Fatalf("seed %d: %d entries counted for %d", seed, got.Count(), len(l.truth))
		}
	}
}

func TestAMessageThatWasAppliedChangesNothingAgain(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 3))
		replica := &presence.Replica{}
		for _, m := range live(r, 2).messages {
			replica.Apply(m, 1000)
			if changes, _ := replica.Apply(m, 1000); len(changes) != 0 {
				t.Fatalf("seed %d: %+v changed %v the second time", seed, m, changes)
			}
		}
	}
}

func TestAReplicaKeepsNoMoreThanItsBound(t *testing.T) {
	r := &presence.Replica{}
	m := presence.Message{Node: "n1", Incarnation: 1, Seq: 1}
	for i := range 50 {
		m.Entries = append(m.Entries, presence.Entry{Conversation: "c1", User: status.UserID(fmt.Sprint(i)), Connections: 1})
	}
	if _, dropped := r.Apply(m.As(presence.VerbDiff), 20); dropped != 30 || len(r.Visible()) != 20 {
		t.Errorf("a diff: %d dropped, %d there", dropped, len(r.Visible()))
	}
	m.To, m.Seq = presence.NumBuckets, 2
	if _, dropped := r.Apply(m.As(presence.VerbSnapshot), 20); dropped != 30 || len(r.Visible()) != 20 {
		t.Errorf("a snapshot: %d dropped, %d there", dropped, len(r.Visible()))
	}
	m.Entries, m.Seq = nil, 3
	if r.Apply(m.As(presence.VerbSnapshot), 20); r.Count() != 0 {
		t.Errorf("%d entries after an empty snapshot", r.Count())
	}
}

func TestARestartReplacesTheOldMembersAtOnce(t *testing.T) {
	r := &presence.Replica{}
	r.Apply(presence.Message{Incarnation: 1, Seq: 9, Entries: []presence.Entry{{Conversation: "c1", User: "alice", Connections: 2}}}.As(presence.VerbDiff), 10)
	changes, _ := r.Apply(presence.Message{Incarnation: 2}.As(presence.VerbSnapshot), 10)
	if changes["c1/alice"] != 1 || len(r.Visible()) != 0 {
		t.Errorf("changes %v, left %v", changes, r.Visible())
	}
	if r.Apply(presence.Message{Incarnation: 1, Seq: 10, Entries: []presence.Entry{{Conversation: "c1", User: "alice", Connections: 2}}}.As(presence.VerbDiff), 10); len(r.Visible()) != 0 {
		t.Errorf("the old self came back: %v", r.Visible())
	}
}
