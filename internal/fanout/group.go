package fanout

import (
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/status"
)

// upstreamQueue is the name that a queue group of browsers has at the server, "" for
// none: one that nobody else may use, by nats.conf. Under its own name it would be one
// with a group of services of that name, and a browser would take a part of what these
// are to get. The groups of all nodes are one.
func upstreamQueue(queue string) string {
	if queue == "" {
		return ""
	}
	return "browsers." + status.SafeToken(queue)
}

// group is the topics of one queue group. Each message goes to one member of all
// of them whose pattern matches. So does nats-server: it chooses among the matching
// subscriptions of a group, whatever their patterns, and goes on to the next one when
// that has had its last message (2.15.2, server/client.go:5655 and 3952). It knows
// one subscription of each pattern here, and which one it chose means nothing.
//
// All topics of a group belong to one shard, so that each member gets what it gets
// in the order of the stream.
type group struct {
	topics []*topic // guarded by Fanout.mu; replaced as a whole
	turn   int      // of the shard's goroutine
}

// groupKey names a queue group among the subjects that begin with the same two
// tokens: others do not meet, unless a pattern has a wildcard there.
type groupKey struct{ queue, root string }

func groupOf(queue, subject string) groupKey {
	first := strings.IndexByte(subject, '.') + 1
	if second := strings.IndexByte(subject[first:], '.'); second >= 0 {
		subject = subject[:first+second]
	}
	return groupKey{queue, subject}
}

// QueueReceiver is a Receiver that may be a member of a queue group and pass a
// message on to the others. In a group it gets Offer first, and Deliver only when
// nobody takes the message.
type QueueReceiver interface {
	Receiver
	// Offer is Deliver, and false when m is not taken: for a subscription that has
	// ended, for instance.
	Offer(m *Message, s *Subscription) (taken bool)
}

func (r recipient) offer(m *Message) bool {
	if q, ok := r.receiver.(QueueReceiver); ok {
		return q.Offer(m, r.subscription)
	}
	r.receiver.Deliver(m, r.subscription)
	return true
}

// joinGroupLocked enters the topic; Fanout.mu is held.
func (f *Fanout) joinGroupLocked(t *topic) {
	key := groupOf(t.key.queue, t.key.subject)
	g := f.groups[key]
	if g == nil {
		g = &group{}
		f.groups[key] = g
	}
	g.topics = append(slices.Clip(g.topics), t)
	t.group = g
}

// leaveGroupLocked takes the topic out; Fanout.mu is held.
func (f *Fanout) leaveGroupLocked(t *topic) {
	g := t.group
	g.topics = slices.DeleteFunc(slices.Clone(g.topics), func(other *topic) bool { return other == t })
	if len(g.topics) == 0 {
		delete(f.groups, groupOf(t.key.queue, t.key.subject))
	}
}

// passQueued hands a message to one member of the group. The topic that it came for
// may have ended meanwhile.
func (f *Fanout) passQueued(from *nats.Msg) {
	f.mu.Lock()
	g := f.groups[groupOf(from.Sub.Queue, from.Sub.Subject)]
	var topics []*topic
	if g != nil {
		topics = g.topics
	}
	f.mu.Unlock()
	m := newMessage(from)
	var few [8][]recipient
	lists, n := few[:0], 0
	for _, t := range topics {
		if natsproto.Matches(t.key.subject, m.Subject) {
			members := t.current().recipients
			lists = append(lists, members)
			n += len(members)
		}
	}
	if n == 0 {
		return
	}
	g.turn++
	for i := range n {
		if nth(lists, (g.turn+i)%n).offer(m) {
			f.countDelivered(m, 1)
			return
		}
	}
	r := nth(lists, g.turn%n)
	r.receiver.Deliver(m, r.subscription)
	f.countDelivered(m, 1)
}

func nth(lists [][]recipient, i int) recipient {
	for _, l := range lists {
		if i < len(l) {
			return l[i]
		}
		i -= len(l)
	}
	panic("fanout: beyond the last member")
}
