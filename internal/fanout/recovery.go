package fanout

import (
	"strings"
	"sync/atomic"

	"github.com/statuswire/statuswire/status"
)

// action is what the recovery rule wants done with a message.
type action uint8

const (
	deliver action = iota // it is the next one
	drop                  // it was delivered before
	mend                  // something before it is missing
)

// position is how far one literal subject is. Neither number goes back.
type position struct {
	subject string
	// passed is the sequence of the last status that was let pass, or that was
	// stored before the topic began, or that cannot be had any more.
	passed uint64
	// handed follows passed when every receiver has been handed the status. It
	// may be read without a lock.
	handed atomic.Uint64
}

// positions is the recovery rule: how far each literal subject of a topic is.
// topic.order guards it, but for what is atomic.
type positions struct {
	bySubject map[string]*position
	// whole is true when the topic is of one conversation. Then the stream is read
	// when it begins, and a subject without a position had nothing stored. Of others
	// the first message of each subject is taken as it is.
	whole bool
	// epoch is the life of the stream that the positions are of. It is set before the
	// topic is open, or, of a topic that is not whole, with the first check.
	epoch string
	// after is a sequence up to which everything on all subjects was handed over,
	// also on those that have no position.
	after atomic.Uint64

	subject string // the topic's
	literal bool   // it has no wildcard

	all     atomic.Pointer[[]*position]  // what bySubject holds
	version atomic.Uint64                // changes when something was handed over
	place   atomic.Pointer[versionPlace] // the newest that was asked for
}

func newPositions(subject string) *positions {
	p := &positions{bySubject: map[string]*position{}, subject: subject, literal: !strings.ContainsAny(subject, "*>")}
	_, p.whole = status.ConversationOf(subject)
	p.all.Store(&[]*position{})
	return p
}

// of returns the subject's position, a new one if it has none.
func (p *positions) of(subject string) *position {
	if known := p.bySubject[subject]; known != nil {
		return known
	}
	added := &position{subject: subject}
	p.bySubject[subject] = added
	old := *p.all.Load()
	all := append(make([]*position, 0, len(old)+1), old...)
	all = append(all, added)
	p.all.Store(&all)
	return added
}

// literalSubject is the one subject that there is, "" when there may be several.
func (p *positions) literalSubject() string {
	if p.literal {
		return p.subject
	}
	return ""
}

// last is the sequence of the last status of the subject that was let pass, 0 for none.
func (p *positions) last(subject string) uint64 {
	if known := p.bySubject[subject]; known != nil {
		return known.passed
	}
	return 0
}

// passed is up to where nothing of the subject is to come any more.
func (p *positions) passed(subject string) uint64 {
	return max(p.after.Load(), p.last(subject))
}

// see judges the status of subject with sequence seq. prev is its
// Nats-Last-Sequence: the newest sequence that was still stored on the subject
// before it. That can go back, after an expiry or a purge, so only prev above
// the last position proves a hole (nats-server 2.15.2).
func (p *positions) see(subject string, seq, prev uint64) action {
	known := p.bySubject[subject]
	switch {
	case known == nil && !p.whole:
		return deliver
	case seq <= p.passed(subject):
		return drop
	case prev > p.passed(subject):
		return mend
	}
	return deliver
}

// behind is true when the stream's newest status of subject, seq, is one that
// was not delivered.
func (p *positions) behind(subject string, seq uint64) bool {
	known := p.bySubject[subject]
	return (known != nil || p.whole) && seq > p.passed(subject)
}

// pass notes that the status with sequence seq passes; whoever delivers it calls
// hand afterwards.
func (p *positions) pass(subject string, seq uint64) *position {
	at := p.of(subject)
	at.passed = max(at.passed, seq)
	return at
}

// settle notes that nothing up to seq is left to be delivered on the subject.
func (p *positions) settle(subject string, seq uint64) {
	at := p.pass(subject, seq)
	at.hand(at.passed)
	p.version.Add(1)
}

// hand notes that every receiver has what passed up to seq.
func (at *position) hand(seq uint64) {
	if seq > at.handed.Load() {
		at.handed.Store(seq)
	}
}

// known notes that everything up to seq was handed over, on whatever subject.
func (p *positions) known(seq uint64) {
	if seq > p.after.Load() {
		p.after.Store(seq)
		p.version.Add(1)
	}
}

// newest is the highest sequence that passed.
func (p *positions) newest() (newest uint64) {
	for _, at := range p.bySubject {
		newest = max(newest, at.passed)
	}
	return newest
}
