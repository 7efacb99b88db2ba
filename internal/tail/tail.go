package tail

import (
	"cmp"
	"slices"
)

// Status is one that has passed a topic. It is not changed once it is added.
type Status struct {
	Subject      string // literal
	Sequence     uint64 // of the stream; on one subject each is greater than the one before
	Header, Data []byte // in a form of the owner's
}

// Place is from where on somebody wants what has passed, and what still counts of
// that.
type Place struct {
	// After is a sequence up to which everything is known, Seen the same for single
	// subjects.
	After uint64
	Seen  map[string]uint64
	// First is the first sequence that the stream has: what is older was dropped.
	First uint64
	// PerSubject is how many statuses of one subject the stream keeps; ≤ 0: no bound.
	PerSubject int
}

func (p Place) of(subject string) uint64 { return max(p.After, p.Seen[subject]) }

// Tail has the newest statuses of one topic, in the order in which they passed.
type Tail struct {
	store   *Store
	literal string // the topic's subject, "" when it has wildcards

	// Guarded by Store.mu.
	first, last *node
	statuses    int
	bytes       int
	open        bool
	base        uint64            // nothing up to it is held, of whatever subject
	floors      map[string]uint64 // the same for single subjects
}

// New returns a tail that holds nothing and answers nothing until Begin. literal is
// the subject of a topic that has no other, else "".
func (s *Store) New(literal string) *Tail { return &Tail{store: s, literal: literal} }

// Begin says where the topic begins, or begins anew: what is held is forgotten,
// nothing up to base is going to be added, and of single subjects nothing up to
// their floors, which are the tail's from now on.
func (t *Tail) Begin(base uint64, floors map[string]uint64) {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	t.clearLocked()
	t.open, t.base, t.floors = true, base, floors
	if t.floors == nil {
		t.floors = map[string]uint64{}
	}
}

// Close forgets what is held. Until the next Begin nothing is held, nor answered.
func (t *Tail) Close() {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	t.clearLocked()
	t.open = false
}

// Add adds a status that passes. The oldest make room for it, or it is not held when
// it is too large by itself.
func (t *Tail) Add(st Status) {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	if !t.open {
		return
	}
	n := &node{Status: st, tail: t}
	if limits := &t.store.limits; n.bytes() > min(limits.TopicBytes, limits.Bytes) {
		t.clearLocked() // there is nothing to be had of what stands before a hole
		t.skipLocked(st.Subject, st.Sequence)
		return
	}
	t.pushLocked(n)
	for t.bytes > t.store.limits.TopicBytes || t.statuses > t.store.limits.TopicStatuses {
		t.dropFirstLocked()
	}
}

// Skip says that nothing up to the sequence can be had of the subject any more, or that
// it passes without being held.
func (t *Tail) Skip(subject string, upTo uint64) {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	if t.open {
		t.skipLocked(subject, upTo)
	}
}

// Forget forgets what is held, and says that nothing up to the sequence can be had of
// any subject.
func (t *Tail) Forget(upTo uint64) {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	t.clearLocked()
	t.base = max(t.base, upTo)
}

// After returns what has passed behind the place, in the order of the stream. It is
// not covered when the tail does not have all of it, or when the stream has dropped
// some of it since.
func (t *Tail) After(p Place) (statuses []Status, covered bool) {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	if !t.open || p.of(t.literal) < t.base {
		return nil, false
	}
	for subject, floor := range t.floors {
		if p.of(subject) < floor {
			return nil, false
		}
	}
	for n := t.first; n != nil; n = n.next {
		if n.Sequence > p.of(n.Subject) {
			statuses = append(statuses, n.Status)
		}
	}
	if slices.ContainsFunc(statuses, func(st Status) bool { return st.Sequence < p.First }) || tooMany(statuses, p.PerSubject) {
		return nil, false
	}
	// What was lost on its way has passed late.
	slices.SortFunc(statuses, func(a, b Status) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return statuses, true
}

// tooMany is true when more are of one subject than the stream keeps.
func tooMany(statuses []Status, perSubject int) bool {
	if perSubject <= 0 || len(statuses) <= perSubject {
		return false
	}
	counts := map[string]int{}
	for _, st := range statuses {
		if counts[st.Subject]++; counts[st.Subject] > perSubject {
			return true
		}
	}
	return false
}

func (t *Tail) pushLocked(n *node) {
	if t.last != nil {
		t.last.next = n
	} else {
		t.first = n
	}
	t.last = n
	t.statuses++
	t.bytes += n.bytes()
	t.store.linkLocked(n)
}

func (t *Tail) dropFirstLocked() {
	n := t.first
	if t.first = n.next; t.first == nil {
		t.last = nil
	}
	t.statuses--
	t.bytes -= n.bytes()
	t.store.unlinkLocked(n)
	t.skipLocked(n.Subject, n.Sequence)
}

func (t *Tail) skipLocked(subject string, upTo uint64) {
	t.floors[subject] = max(t.floors[subject], upTo)
}

func (t *Tail) clearLocked() {
	for t.first != nil {
		t.dropFirstLocked()
	}
}
