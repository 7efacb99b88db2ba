package mark

import (
	"slices"
	"sync/atomic"
	"time"
)

// Holder is one open connection's hold on its marks. Safe for concurrent use.
type Holder struct {
	store *Store
	entry *entry

	// superseded: another connection of the same key has copied the marks, and
	// nothing has come from this one since.
	superseded atomic.Bool

	// Guarded by Store.mu.
	closed bool
	held   map[string]spot // of its subscriptions
	left   map[string]spot // taken over, and not subscribed to yet
	taken  map[string]spot // of the subscription that is being made
}

// Take is for a new subscription of the subject: it returns from where it goes on.
// ok is false when nothing is known, and once as many subscriptions have gone on as
// there were before. Until Set or Leave says what became of the subscription, the
// mark stays for a next connection: making one takes time, and its browser may be
// back before it is made.
func (h *Holder) Take(subject string) (p Place, ok bool) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	sp, ok := h.left[subject]
	if !ok {
		return Place{}, false
	}
	h.store.deleteLocked(h.left, subject)
	if !sp.until.After(time.Now()) {
		return Place{}, false
	}
	if sp.Subscriptions > 1 {
		rest := sp
		rest.Subscriptions--
		h.store.putLocked(h.left, subject, rest)
	}
	sp.Subscriptions = 1
	h.store.putLocked(h.taken, subject, sp)
	return sp.Place, true
}

// Set enters how far the subscriptions of each subject have arrived. No
// subscriptions: the subject is forgotten.
func (h *Holder) Set(marks map[string]Mark) {
	s := h.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.closed {
		return
	}
	for subject, m := range marks {
		before, known := h.held[subject]
		_, taken := h.taken[subject]
		if m.Subscriptions == 0 || m.Subscriptions > before.Subscriptions {
			s.deleteLocked(h.taken, subject) // it is made, or will not be
		}
		switch {
		case m.Subscriptions == 0:
			_, left := h.left[subject]
			if !known && !left && !taken {
				continue
			}
			s.deleteLocked(h.held, subject)
			s.deleteLocked(h.left, subject)
		case known && before.Subscriptions == m.Subscriptions && before.Place.equal(m.Place):
			continue
		default:
			s.putLocked(h.held, subject, spot{Mark: m})
			if !s.fitLocked(h.entry) {
				s.stats.Refused++
				s.deleteLocked(h.held, subject)
				if known {
					s.putLocked(h.held, subject, before) // the lower place is as good
				}
				continue
			}
			if !known && !taken {
				s.beginLocked(h.entry)
			}
		}
		h.entry.dirty = true
	}
}

// Leave keeps the place of a subscription that has ended though its browser did
// not end it: a new one of the subject goes on from there.
func (h *Holder) Leave(subject string, p Place) {
	s := h.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.closed {
		return
	}
	s.deleteLocked(h.taken, subject)
	sp := spot{Mark{p, 1}, time.Now().Add(s.opts.Keep)}
	if have, ok := h.left[subject]; ok {
		sp.Place = Lower(sp.Place, have.Place)
		sp.Subscriptions += have.Subscriptions
	}
	s.putLocked(h.left, subject, sp)
	if !s.fitLocked(h.entry) {
		s.stats.Refused++
		s.deleteLocked(h.left, subject)
	}
	h.entry.dirty = true
}

// Heard says that something has come from the connection's browser. It is cheap.
func (h *Holder) Heard() {
	if !h.superseded.Load() {
		return
	}
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.superseded.Store(false)
	h.entry.dirty = true
}

// Close ends the connection: its marks are away from now on. Those of one that was
// superseded are not needed, the newer one has them. Closing twice is fine.
func (h *Holder) Close() {
	now := time.Now()
	s, e := h.store, h.entry
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	if all := h.allLocked(now); len(all) > 0 && !h.superseded.Load() {
		s.mergeLocked(e.away, all)
		e.connections++
	}
	s.clearLocked(h.held)
	s.clearLocked(h.left)
	s.clearLocked(h.taken)
	e.holders = slices.DeleteFunc(slices.Clone(e.holders), func(other *Holder) bool { return other == h })
	e.dirty = true
	s.settleLocked(e, now)
	s.fitLocked(nil)
}

// allLocked is what a next connection would need of this one.
func (h *Holder) allLocked(now time.Time) map[string]spot {
	until := now.Add(h.store.opts.Keep)
	all := make(map[string]spot, len(h.held)+len(h.left)+len(h.taken))
	add := func(subject string, sp spot) {
		if have, ok := all[subject]; ok {
			sp.Place = Lower(sp.Place, have.Place)
			sp.Subscriptions += have.Subscriptions
			if have.until.After(sp.until) {
				sp.until = have.until
			}
		}
		all[subject] = sp
	}
	for _, spots := range []map[string]spot{h.left, h.taken} {
		for subject, sp := range spots {
			if sp.until.After(now) {
				add(subject, sp)
			}
		}
	}
	for subject, sp := range h.held {
		sp.until = until
		add(subject, sp)
	}
	return all
}
