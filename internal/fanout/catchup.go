package fanout

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
)

// catchUp stands in for the receiver of a subscription that begins at a place in
// the past, as a member of the topic, until the receiver is where the topic is.
//
//	reading ──▶ holding ──▶ following ──▶ (live)
//	   ▲           │
//	   └───────────┘ too much is held
//
// A goroutine reads the stream and hands it over. While reading, what comes live
// is let go: it is in the stream. While holding, it is kept, from a moment on that
// the reading has yet to reach. Then it is handed over too, and the catchUp
// follows: what comes live passes, but for what the receiver has already. As soon
// as that cannot come any more the topic delivers to the receiver itself.
//
// Locks: topic.order before mu.
type catchUp struct {
	topic  *topic
	sub    *Subscription
	to     Receiver
	runs   RunReceiver // to, nil when it is none
	pacer  Pacer       // to, nil when it is none
	ctx    context.Context
	cancel context.CancelFunc
	ended  atomic.Bool // nothing is handed over any more

	place atomic.Pointer[Place] // how far the receiver is

	mu        sync.Mutex // guards what follows; held while something is handed over
	phase     phase
	epoch     string            // what the receiver has is of it
	asked     uint64            // everything up to it the receiver has from before
	seen      map[string]uint64 // the same for single subjects, with what was handed over since
	upTo      uint64            // everything up to it the receiver has by now
	joined    uint64            // holding: what came before is up to it
	held      []*Message
	heldBytes int
	truncated uint64 // not 0: the first sequence that could be had, to be told
}

type phase uint8

const (
	reading phase = iota
	holding
	following
)

func newCatchUp(s *Subscription, place Place) *catchUp {
	c := &catchUp{topic: s.topic, sub: s, to: s.receiver, epoch: place.Epoch, asked: place.After, upTo: place.After, seen: map[string]uint64{}}
	maps.Copy(c.seen, place.Seen)
	c.runs, _ = s.receiver.(RunReceiver)
	c.pacer, _ = s.receiver.(Pacer)
	c.ctx, c.cancel = context.WithCancel(s.topic.fanout.ctx)
	c.place.Store(&place)
	return c
}

// end stops the replay; what is being handed over at the moment is the last.
func (c *catchUp) end() {
	c.ended.Store(true)
	c.cancel()
}

// Deliver implements Receiver for the topic, which holds order.
func (c *catchUp) Deliver(m *Message, _ *Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case m.Sequence == 0:
		c.handLiveLocked(m)
	case c.phase == holding:
		c.holdLocked(m)
	case c.phase == following:
		c.followLocked(m)
	}
}

// Ended implements Receiver for the topic.
func (c *catchUp) Ended(s *Subscription, reason string) {
	c.end()
	c.mu.Lock() // nothing is being handed over any more
	defer c.mu.Unlock()
	c.to.Ended(s, reason)
}

// holdLocked keeps m, or lets go of all that is held when it does not fit.
func (c *catchUp) holdLocked(m *Message) {
	opts := &c.topic.fanout.opts
	c.heldBytes += len(m.Data)
	if len(c.held) == opts.MaxHeld || c.heldBytes > opts.MaxHeldBytes {
		c.phase, c.held, c.heldBytes = reading, nil, 0
		return
	}
	c.held = append(c.held, m.own())
}

// followLocked hands over m if it is new, and leaves when it is the last one that
// had to be looked at.
func (c *catchUp) followLocked(m *Message) {
	if c.newLocked(m.Subject, m.Sequence) {
		c.handLiveLocked(m)
		c.noteLocked()
	}
	c.leaveLocked()
}

func (c *catchUp) newLocked(subject string, seq uint64) bool {
	return seq > c.asked && seq > c.seen[subject]
}

// handLiveLocked is handLocked for a message that the topic hands to others too, who
// are counted by themselves.
func (c *catchUp) handLiveLocked(m *Message) {
	declined := m.declined
	m.declined = 0
	c.handLocked(m)
	m.declined = declined
}

// handLocked hands messages over and notes how far the receiver is.
func (c *catchUp) handLocked(ms ...*Message) {
	if len(ms) == 0 || c.ended.Load() {
		return
	}
	if c.truncated != 0 && ms[0].Sequence > 0 {
		ms[0] = ms[0].own()
		ms[0].tell(c.truncated)
		c.truncated = 0
	}
	if len(ms) > 1 && c.runs != nil {
		c.runs.DeliverRun(&Run{Messages: ms}, c.sub)
	} else {
		for _, m := range ms {
			c.to.Deliver(m, c.sub)
		}
	}
	for _, m := range ms {
		if m.Sequence > 0 {
			c.seen[m.Subject] = m.Sequence
		}
		c.topic.fanout.countDelivered(m, 1)
	}
}

// noteLocked makes known how far the receiver is. A gap that it was not told of
// yet is not to be forgotten, so until then it is where it was.
func (c *catchUp) noteLocked() {
	if c.truncated != 0 || c.ended.Load() {
		return
	}
	p := c.placeLocked()
	c.place.Store(&p)
}

func (c *catchUp) placeLocked() Place {
	p := Place{Epoch: c.epoch, After: c.upTo}
	for subject, seq := range c.seen {
		if seq > p.After {
			if p.Seen == nil {
				p.Seen = make(map[string]uint64, len(c.seen))
			}
			p.Seen[subject] = seq
		}
	}
	return p
}

// leaveLocked takes the catchUp out of the way if nothing can come live any more
// that the receiver has already, and it was told of every gap. topic.order is held.
func (c *catchUp) leaveLocked() (left bool) {
	if c.truncated != 0 || !c.coveredLocked() {
		return false
	}
	c.topic.goLive(c.sub)
	return true
}

// coveredLocked is true when the topic is at least where the receiver is.
func (c *catchUp) coveredLocked() bool {
	at := c.topic.at
	known := at.after.Load()
	if c.asked > known && !(at.literal && at.passed(c.topic.key.subject) >= c.asked) {
		return false
	}
	for subject, seq := range c.seen {
		if seq > known && seq > at.passed(subject) {
			return false
		}
	}
	return true
}
