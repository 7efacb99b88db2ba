package fanout

import (
	"container/list"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/tail"
	"github.com/statuswire/statuswire/status"
)

// recipient is a member and its receiver, side by side: who delivers to a thousand
// finds them in a row, and none of the subscriptions in the cache.
type recipient struct {
	receiver     Receiver
	runs         RunReceiver // the receiver, nil when it is none
	subscription *Subscription
}

// audience is the members of a topic at one time. It does not change.
type audience struct {
	recipients []recipient
	live       int // those among them who are not catching up
}

// topicKey names an upstream subscription; queue is as upstreamQueue says.
type topicKey struct{ subject, queue string }

// topic is one upstream subscription and those who receive from it.
//
// Locks: order before mu. order is held while messages pass, so that they pass
// one after the other; mu only while the members are read or changed, so that
// joining does not wait for a delivery to a thousand sockets.
type topic struct {
	fanout *Fanout
	key    topicKey
	group  *group // nil for no queue group
	refs   int    // subscriptions and those about to be; guarded by Fanout.mu
	// detached: it is not in Fanout.topics any more, though there are subscriptions;
	// guarded by Fanout.mu.
	detached bool
	// kept is its place in Fanout.kept while nobody has it, and it is kept until
	// keptUntil; guarded by Fanout.mu.
	kept      *list.Element
	keptUntil time.Time

	shard    chan *nats.Msg
	opened   chan struct{} // closed when upstream is there or openErr set
	openErr  error
	upstream *nats.Subscription

	mu       sync.Mutex // guards members, retired, snapshot
	members  []*Subscription
	retired  bool      // nobody may join any more
	snapshot *audience // the members for delivery; nil when they changed

	order   sync.Mutex // guards what follows
	at      *positions // nil for what is not stored, and in a queue group: its messages go elsewhere too
	tail    *tail.Tail // what has passed lately; nil when nothing is to be kept
	mending bool
	waiting []waiter // arrived while mending
	lost    bool     // something did not come that later messages may not show
	// truncated is not 0 when retention has taken something before it could be
	// fetched: the first sequence that could be had, which the next message tells.
	truncated uint64

	check    checkState
	dropping atomic.Bool // the NATS client had no room for its messages
}

// topic finds or makes the topic and counts the caller in.
func (f *Fanout) topic(key topicKey) (t *topic, created bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return nil, false, ErrStopped
	}
	t = f.topics[key]
	if t == nil {
		if err := f.takeRoomLocked(); err != nil {
			return nil, false, err
		}
		t = &topic{fanout: f, key: key, opened: make(chan struct{})}
		if key.queue != "" {
			f.joinGroupLocked(t)
		} else if status.CarriesStatuses(key.subject) {
			t.at = newPositions(key.subject)
			if t.at.whole {
				t.mending = true // until it has begun
				if f.tails != nil {
					t.tail = f.tails.New(t.at.literalSubject())
				}
				f.checks.enter(t)
			}
		}
		t.shard = f.shardOf(t)
		f.topics[key] = t
		created = true
	}
	t.refs++
	f.unkeepLocked(t)
	return t, created, nil
}

// leave counts one subscription out; with the last one the topic ends, or is kept for
// those who come back.
func (f *Fanout) leave(t *topic) {
	f.mu.Lock()
	t.refs--
	found := f.topics[t.key] == t
	last := t.refs == 0 && (found || t.detached)
	if found && last {
		if f.keepLocked(t) {
			last = false
		} else {
			f.removeLocked(t)
		}
	}
	f.mu.Unlock()
	if last {
		f.release(t, t.group != nil)
	}
}

// removeLocked has nobody find the topic any more; Fanout.mu is held.
func (f *Fanout) removeLocked(t *topic) {
	delete(f.topics, t.key)
	if t.group != nil {
		f.leaveGroupLocked(t)
	}
	f.checks.forget(t)
}

// shardOf is where the messages of the topic wait.
func (f *Fanout) shardOf(t *topic) chan *nats.Msg {
	hash := maphash.Comparable(f.seed, t.key)
	if t.group != nil {
		hash = maphash.Comparable(f.seed, groupOf(t.key.queue, t.key.subject))
	}
	return f.shards[hash%uint64(len(f.shards))]
}

// release ends the upstream subscription of a topic that nobody can reach any more.
// When it is drained, what is on its way from the server still comes.
func (f *Fanout) release(t *topic, drain bool) {
	<-t.opened
	if t.tail != nil {
		t.tail.Close()
	}
	if t.upstream == nil {
		return
	}
	f.bySub.Delete(t.upstream)
	end := t.upstream.Unsubscribe
	if drain {
		end = t.upstream.Drain
	}
	if err := end(); err != nil && !f.nc.IsClosed() {
		f.opts.Logger.Warn("cannot end an upstream subscription", "subject", t.key.subject, "error", err)
	}
}

// add is false when the topic is retired.
func (t *topic) add(s *Subscription) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retired {
		return false
	}
	s.index, s.member = len(t.members), true
	t.members = append(t.members, s)
	t.snapshot = nil
	return true
}

// remove is false when s was no member any more.
func (t *topic) remove(s *Subscription) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.member {
		return false
	}
	s.member = false
	s.stop()
	last := len(t.members) - 1
	t.members[s.index] = t.members[last]
	t.members[s.index].index = s.index
	t.members[last] = nil
	t.members = t.members[:last]
	t.snapshot = nil
	return true
}

// clear takes all members out and returns them.
func (t *topic) clear() []*Subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.members
	for _, s := range all {
		s.member = false
		s.stop()
	}
	t.members, t.snapshot = nil, nil
	return all
}

// current returns the members as of now; the slice is not changed afterwards.
func (t *topic) current() *audience {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.snapshot == nil {
		t.snapshot = &audience{recipients: make([]recipient, len(t.members))}
		for i, s := range t.members {
			if c := s.catchUp.Load(); c != nil {
				t.snapshot.recipients[i] = recipient{receiver: c, subscription: s}
				continue
			}
			runs, _ := s.receiver.(RunReceiver)
			t.snapshot.recipients[i] = recipient{s.receiver, runs, s}
			t.snapshot.live++
		}
	}
	return t.snapshot
}

// goLive has messages go straight to the receiver of s from the next one on.
func (t *topic) goLive(s *Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.catchUp.Store(nil)
	t.snapshot = nil
}

// take lets messages that came from upstream pass.
func (t *topic) take(ms ...*Message) {
	t.order.Lock()
	defer t.order.Unlock()
	var run []*Message // may be delivered, and is not yet
	for _, m := range ms {
		switch {
		case t.mending && len(t.waiting) < t.fanout.opts.MaxWaiting:
			t.waiting = append(t.waiting, waiter{message: m})
		case t.mending:
			t.lost = true // it will be found as a hole, or by asking
		case t.passesLocked(m):
			run = append(run, m)
		}
	}
	t.sendRun(run)
}

// passesLocked applies the recovery rule to m and is true when m is to be
// delivered now; order is held until it is, so that what mends a hole comes after.
func (t *topic) passesLocked(m *Message) bool {
	if t.at == nil || m.Sequence == 0 {
		return true
	}
	switch t.at.see(m.Subject, m.Sequence, m.prev) {
	case drop:
		t.fanout.doubles.Add(1)
	case mend:
		t.mendLocked(waiter{message: m})
	case deliver:
		t.advanceLocked(m)
		return true
	}
	return false
}

// advanceLocked notes that m passes; order is held until it is delivered.
func (t *topic) advanceLocked(m *Message) {
	m.Epoch = t.at.epoch
	m.position = t.at.pass(m.Subject, m.Sequence)
	if t.truncated != 0 {
		m.tell(t.truncated)
		t.truncated = 0
		t.skipLocked(m.Subject, m.Sequence) // who comes later asks the stream what is gone
		return
	}
	t.rememberLocked(m)
}

// send hands m to the members.
func (t *topic) send(m *Message) {
	to := t.current()
	for _, r := range to.recipients {
		r.receiver.Deliver(m, r.subscription)
	}
	t.sent(m, to.live)
}

// sent notes that m was handed to everybody.
func (t *topic) sent(m *Message, live int) {
	if m.position != nil {
		m.position.hand(m.Sequence)
		t.at.version.Add(1)
	}
	t.fanout.countDelivered(m, live)
}
