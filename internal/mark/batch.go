package mark

import (
	"maps"
	"slices"
	"time"
)

// due returns the keys that the stream does not have as they are, or had so long
// ago that it is time again.
func (s *Store) due() []Key {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(now)
	var keys []Key
	for key, e := range s.entries {
		if e.dirty || e.stored && now.Sub(e.written) >= s.opts.RewriteEvery {
			keys = append(keys, key)
		}
	}
	return keys
}

// beginLocked notes that a subscription of the key has begun. Until the stream knows
// of it, it would begin from now after a kill, and what came meanwhile be missing.
func (s *Store) beginLocked(e *entry) {
	s.begun[e.key] = struct{}{}
	select {
	case s.begins <- struct{}{}:
	default:
	}
}

// begunKeys returns the keys that have a subscription of which nothing was written.
func (s *Store) begunKeys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.begun))
}

// records returns what is to be written of the keys, and takes it for written.
func (s *Store) records(keys []Key) []record {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []record
	for _, key := range keys {
		e := s.entries[key]
		if e == nil {
			continue
		}
		r := e.recordLocked(now)
		e.dirty = false
		delete(s.begun, key)
		if len(r.marks) == 0 && !e.stored {
			continue
		}
		e.written = now
		all = append(all, r)
	}
	return all
}

// recordLocked is what is known of the key on all its connections.
func (e *entry) recordLocked(now time.Time) record {
	r := record{key: e.key, connections: e.connections, marks: map[string]spot{}}
	add := func(subject string, sp spot) {
		if have, ok := r.marks[subject]; ok {
			sp.Place = Lower(sp.Place, have.Place)
			sp.Subscriptions = max(sp.Subscriptions, have.Subscriptions)
			if sp.until.IsZero() || have.until.IsZero() {
				sp.until = time.Time{}
			} else if have.until.After(sp.until) {
				sp.until = have.until
			}
		}
		r.marks[subject] = sp
	}
	for subject, sp := range e.away {
		if sp.until.After(now) {
			add(subject, sp)
		}
	}
	for _, h := range e.holders {
		if h.superseded.Load() {
			continue
		}
		r.connections++
		for subject, sp := range h.allLocked(now) {
			if _, open := h.held[subject]; open {
				sp.until = time.Time{}
			}
			add(subject, sp)
		}
	}
	return r
}

// wrote notes that the stream has the records. An empty one may go now.
func (s *Store) wrote(records []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		e := s.entries[r.key]
		if e == nil {
			continue
		}
		e.stored = len(r.marks) > 0
		if !e.dirty && !e.stored && len(e.holders) == 0 && len(e.away) == 0 {
			s.dropLocked(e)
		}
	}
}

// failed notes that the stream may not have the records.
func (s *Store) failed(records []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		if e := s.entries[r.key]; e != nil {
			e.dirty = true
		}
	}
}

// restore enters what the stream had of an earlier process. A connection that was
// open then has ended with it; its browser could not come back before now.
func (s *Store) restore(records []record) {
	now := time.Now()
	type ended struct {
		record
		until time.Time
	}
	var all []ended
	for _, r := range records {
		last := ended{record: r}
		for subject, sp := range r.marks {
			if latest := now.Add(s.opts.Keep); sp.until.IsZero() || sp.until.After(latest) {
				sp.until = latest
			}
			if !sp.until.After(now) {
				delete(r.marks, subject)
				continue
			}
			r.marks[subject] = sp
			if sp.until.After(last.until) {
				last.until = sp.until
			}
		}
		if len(r.marks) > 0 {
			all = append(all, last)
		}
	}
	slices.SortStableFunc(all, func(a, b ended) int { return a.until.Compare(b.until) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range all {
		if s.entries[r.key] != nil {
			continue // its browser is back already
		}
		e := s.addLocked(r.key)
		e.stored, e.written, e.connections = true, now, r.connections
		s.mergeLocked(e.away, r.marks)
		s.parkLocked(e, r.until)
	}
	s.fitLocked(nil)
}
