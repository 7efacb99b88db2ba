package fanout

import (
	"bytes"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/tail"
	"github.com/statuswire/statuswire/status"
)

// rememberLocked keeps a message that passes for those who come back; order is held.
func (t *topic) rememberLocked(m *Message) {
	if t.tail == nil || m.Sequence == 0 {
		return
	}
	t.tail.Add(remembered(m))
	t.fanout.makeRoom()
}

// skipLocked says that nothing of the subject up to the sequence is remembered; order is
// held.
func (t *topic) skipLocked(subject string, upTo uint64) {
	if t.tail != nil {
		t.tail.Skip(subject, upTo)
	}
}

// forgetLocked says that nothing up to the sequence is remembered; order is held.
func (t *topic) forgetLocked(upTo uint64) {
	if t.tail != nil {
		t.tail.Forget(upTo)
	}
}

// startTailLocked begins to remember behind what is stored, and what was dropped; order is
// held. What was read back from b.from on is remembered.
func (t *topic) startTailLocked(b beginning) {
	if t.tail == nil || t.fanout.isPurged(t) {
		return
	}
	floors := b.last
	if b.from > 0 {
		floors = make(map[string]uint64, len(b.last))
		for subject, seq := range b.last {
			floors[subject] = min(seq, b.from-1)
		}
	}
	t.tail.Begin(b.state.First-1, floors)
	for _, st := range b.stored {
		if st.Sequence <= b.upTo { // what is later comes by itself
			t.rememberLocked(replayedMessage(st))
		}
	}
}

// enter makes the subscription a member of its topic. If the topic remembers all that
// it has missed, and that is not much, it is handed that at once, and is served.
func (c *catchUp) enter() (added, served bool) {
	t := c.topic
	state, known := c.recallable()
	t.order.Lock()
	defer t.order.Unlock()
	if !t.add(c.sub) {
		return false, false
	}
	if !known || !c.hasRoom() {
		return true, false
	}
	more, covered := c.recallLocked(state, true)
	if served = covered && !more; served {
		c.cancel()
		c.hit()
	}
	return true, served
}

// hit counts, and has the stream asked at once what the topic does not know of: who reads
// the stream would have found it.
func (c *catchUp) hit() {
	f := c.topic.fanout
	f.hits.Add(1)
	f.checks.soon(c.topic)
}

// hasRoom is true when the receiver takes something at once.
func (c *catchUp) hasRoom() bool { return c.pacer == nil || c.pacer.HasRoom() }

// recallable is the stream's state, by which what is remembered is judged; false when
// nothing is remembered, or that is not known.
func (c *catchUp) recallable() (StreamState, bool) {
	if c.topic.tail == nil || c.topic.fanout.unheard.Load() {
		return StreamState{}, false
	}
	state, err := c.topic.fanout.state()
	return state, err == nil
}

// recall hands over what the topic remembers, part by part as the receiver has room, and
// is over when the receiver is where the topic is, or has ended. Otherwise the stream is
// to be read.
func (c *catchUp) recall() (over bool) {
	for !c.ended.Load() {
		state, known := c.recallable()
		if !known || !c.isRemembered(state) {
			break
		}
		if err := c.ready(); err != nil {
			return c.stopped(err)
		}
		c.topic.order.Lock()
		more, covered := c.recallLocked(state, false)
		c.topic.order.Unlock()
		if !covered {
			break
		}
		if !more {
			c.hit()
			return true
		}
	}
	if c.ended.Load() {
		return true
	}
	c.topic.fanout.misses.Add(1)
	return false
}

// recallLocked hands over the next part of what is remembered behind where the receiver
// is; with the last part the receiver follows the topic. whole: all of it or nothing.
// topic.order is held.
func (c *catchUp) recallLocked(state StreamState, whole bool) (more, covered bool) {
	t := c.topic
	c.mu.Lock()
	defer c.mu.Unlock()
	missed, covered := c.missedLocked(state)
	if !covered {
		return false, false
	}
	n := 0
	if len(missed) > 0 {
		n = fitting(len(missed), func(i int) int { return len(missed[i].Data) })
	}
	if more = n < len(missed); more && whole {
		return true, true
	}
	ms := make([]*Message, n)
	for i, st := range missed[:n] {
		ms[i] = recalled(st, c.epoch)
		c.numberLocked(ms[i])
		c.seen[st.Subject] = st.Sequence
	}
	c.handLocked(ms...)
	t.fanout.recalled.Add(uint64(n))
	if !more {
		c.upTo = max(c.upTo, t.at.after.Load())
		c.phase = following
		c.leaveLocked()
	}
	c.noteLocked()
	return more, true
}

// isRemembered is true when the topic remembers all that the receiver has missed.
func (c *catchUp) isRemembered(state StreamState) bool {
	c.topic.order.Lock()
	defer c.topic.order.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	_, covered := c.missedLocked(state)
	return covered
}

// missedLocked is what is remembered behind where the receiver is; topic.order is held.
func (c *catchUp) missedLocked(state StreamState) (missed []tail.Status, covered bool) {
	return c.topic.missedLocked(Place{Epoch: c.epoch, After: c.upTo, Seen: c.seen}, state)
}

// missedLocked is what is remembered behind the place; order is held.
func (t *topic) missedLocked(p Place, state StreamState) (missed []tail.Status, covered bool) {
	// A place of another epoch, or beyond the end, is one of other data.
	if p.Epoch != t.at.epoch || state.Epoch != t.at.epoch || p.highest() > max(state.Last, t.at.newest()) {
		return nil, false
	}
	return t.tail.After(tail.Place{After: p.After, Seen: p.Seen, First: state.First, PerSubject: state.PerSubject})
}

// Recall returns what is stored behind the place on the subject, in order and perhaps with
// more, if some topic remembers it all, up to the newest sequence that the stream has of
// each subject.
func (f *Fanout) Recall(subject string, place Place, newest map[string]uint64) ([]Stored, bool) {
	keys := []topicKey{{subject: subject}}
	if c, ok := status.ConversationOf(subject); ok {
		keys = append(keys, topicKey{subject: status.ConversationSubjects(c)})
	}
	for _, key := range keys {
		if all, ok := f.recallFrom(f.remembering(key), place, newest); ok {
			f.recalled.Add(uint64(len(all)))
			return all, true
		}
	}
	return nil, false
}

// remembering is the topic if it is open and remembers something, else nil.
func (f *Fanout) remembering(key topicKey) *topic {
	f.mu.Lock()
	t := f.topics[key]
	f.mu.Unlock()
	if t == nil || t.tail == nil || f.unheard.Load() {
		return nil
	}
	select {
	case <-t.opened:
		return t
	default:
		return nil
	}
}

func (f *Fanout) recallFrom(t *topic, place Place, newest map[string]uint64) ([]Stored, bool) {
	if t == nil {
		return nil, false
	}
	state, err := f.state()
	if err != nil {
		return nil, false
	}
	t.order.Lock()
	defer t.order.Unlock()
	for subject, seq := range newest {
		if t.at.behind(subject, seq) {
			return nil, false // it is on its way, or lost
		}
	}
	missed, covered := t.missedLocked(place, state)
	if !covered {
		return nil, false
	}
	all := make([]Stored, len(missed))
	for i, st := range missed {
		h := headerOf(st)
		at, err := time.Parse(time.RFC3339Nano, h.Get(headerTime))
		if err != nil {
			return nil, false
		}
		for _, name := range []string{headerSequence, headerLastSequence, headerTime} {
			delete(h, name)
		}
		all[i] = Stored{Subject: st.Subject, Sequence: st.Sequence, Time: at, Header: h, Data: st.Data}
	}
	return all, true
}

// remembered is the message in the form in which it is remembered: small, and nothing
// for the garbage collector to look through.
func remembered(m *Message) tail.Status {
	size := 0
	for name, values := range m.Header {
		for _, v := range values {
			if !isKnown(name) {
				size += len(name) + len(v) + 2
			}
		}
	}
	b := make([]byte, 0, size+len(m.Data))
	for name, values := range m.Header {
		for _, v := range values {
			if !isKnown(name) {
				b = append(append(append(append(b, name...), ':'), v...), '\n') // neither can be in a header
			}
		}
	}
	header := len(b)
	b = append(b, m.Data...)
	return tail.Status{Subject: m.Subject, Sequence: m.Sequence, Header: b[:header:header], Data: b[header:]}
}

// isKnown is true for headers that nobody needs.
func isKnown(name string) bool { return name == headerStream || name == headerSubject }

// headerOf is the header of what was remembered.
func headerOf(st tail.Status) nats.Header {
	h := make(nats.Header, bytes.Count(st.Header, []byte{'\n'}))
	for line := range strings.Lines(string(st.Header)) {
		name, value, _ := strings.Cut(line[:len(line)-1], ":")
		h[name] = append(h[name], value)
	}
	return h
}

// recalled is what was remembered, for one receiver.
func recalled(st tail.Status, epoch string) *Message {
	h := headerOf(st)
	return &Message{Subject: st.Subject, Header: h, Data: st.Data, Epoch: epoch, Sequence: st.Sequence, Low: isLow(h), Replayed: true}
}
