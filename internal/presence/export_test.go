package presence

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/status"
)

// Message and Entry are the node protocol's, for tests of the merge.
type (
	Message = message
	Entry   = entry
)

const (
	VerbDiff     = verbDiff
	VerbSnapshot = verbSnapshot
	VerbBye      = verbBye
	NumBuckets   = numBuckets
)

// As gives a message its verb.
func (m message) As(verb string) Message { m.verb = verb; return m }

// Verb is the message's verb.
func (m message) Verb() string { return m.verb }

// Bucket is the part of a snapshot that the entry belongs to.
func (e entry) Bucket() int { return e.key().bucket() }

// Encode and Decode are the node protocol's.
func Encode(m Message) []byte                             { return encode(m) }
func Decode(subject string, data []byte) (Message, error) { return decode(subject, data) }
func Pick(nodes []string, c status.ConversationID) string { return pick(nodes, c) }
func Compare(before, after map[status.UserID]Member) ([]Member, []Left) {
	return compare(before, after)
}

// Replica is one node's replica.
type Replica struct{ r replica }

// Apply merges a message and returns how often each key was said to change.
func (r *Replica) Apply(m Message, limit int) (changes map[string]int, dropped int) {
	changes = map[string]int{}
	dropped = r.r.apply(m, limit, func(c change) { changes[string(c.conversation)+"/"+string(c.user)]++ })
	return changes, dropped
}

// Visible is what the replica says, by conversation/user.
func (r *Replica) Visible() map[string]int {
	out := map[string]int{}
	for _, bucket := range r.r.entries {
		for k, n := range bucket {
			if n.connections > 0 {
				out[string(k.conversation)+"/"+string(k.user)] = n.connections
			}
		}
	}
	return out
}

// State is all that the replica holds, comparable as text.
func (r *Replica) State() string {
	all := map[string]string{}
	for _, bucket := range r.r.entries {
		for k, n := range bucket {
			all[string(k.conversation)+"/"+string(k.user)] = fmt.Sprintf("%d since %d at %d", n.connections, n.since, n.seq)
		}
	}
	return fmt.Sprint(r.r.incarnation, r.r.ended, r.r.ready, r.r.base, all, r.r.count)
}

// Count is how many entries the replica holds, with those of no connections.
func (r *Replica) Count() int { return r.r.count }

// Packet is what a node publishes.
type Packet struct {
	Subject string
	Data    []byte
}

// Node is a machine: presence without connection and clock.
type Node struct{ m *machine }

func NewNode(name string, born uint64, opts Options) *Node {
	return &Node{newMachine(name, born, opts.withDefaults())}
}

func (n *Node) Start(now time.Time) { n.m.start(now) }
func (n *Node) Join(now time.Time, c status.ConversationID, u status.UserID, conn uint64) {
	n.m.join(now, key{c, u}, conn)
}

func (n *Node) Leave(now time.Time, c status.ConversationID, u status.UserID, conn uint64) {
	n.m.leave(now, key{c, u}, conn)
}

func (n *Node) Receive(now time.Time, p Packet) error {
	m, err := decode(p.Subject, p.Data)
	if err == nil {
		n.m.receive(now, m)
	}
	return err
}

func (n *Node) Step(now time.Time) ([]Packet, time.Time) {
	out, next := n.m.step(now)
	return packets(out), next
}

func (n *Node) Bye(now time.Time) []Packet { return packets(n.m.bye(now)) }

func (n *Node) List(c status.ConversationID) []Member { return n.m.view.list(c) }

// Size counts everything that the node remembers.
func (n *Node) Size() int {
	size := len(n.m.local.keys) + len(n.m.local.leaving) + len(n.m.view.present) + len(n.m.dirty) +
		len(n.m.told.told) + len(n.m.told.pending) + len(n.m.told.confirms) + len(n.m.told.repeats) +
		len(n.m.told.recent) + len(n.m.told.olds)
	for r := range maps.Values(n.m.view.replicas) {
		size += r.count
	}
	return size
}

func packets(out []outgoing) (all []Packet) {
	for _, o := range out {
		all = append(all, Packet{o.subject, encode(o.body)})
	}
	return all
}

// Wire is what a tracker needs of a connection.
type Wire interface {
	Listen(subject string) (<-chan *nats.Msg, func() error, error)
	Publish(subject string, data []byte) error
	Flush(ctx context.Context) error
}

type exportedWire struct{ Wire }

func (w exportedWire) listen(s string) (<-chan *nats.Msg, func() error, error) { return w.Listen(s) }
func (w exportedWire) publish(s string, data []byte) error                     { return w.Publish(s, data) }
func (w exportedWire) flush(ctx context.Context) error                         { return w.Flush(ctx) }

// NewOnWire makes a tracker on another wire than NATS.
func NewOnWire(w Wire, opts Options) (*Tracker, error) { return newTracker(exportedWire{w}, opts) }
