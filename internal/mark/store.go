package mark

import (
	"container/list"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/statuswire/statuswire/status"
)

// Key names a resumable connection over its reconnects.
type Key struct {
	User status.UserID
	Name string
}

// Bounds of a name, in bytes.
const (
	MinNameBytes = 20
	MaxNameBytes = 128
)

// Resumable is true for a name that is taken for a unique id: 20 to 128 printable
// ASCII characters without a space. A program's name has fewer, or spaces in it.
func Resumable(name string) bool {
	if len(name) < MinNameBytes || len(name) > MaxNameBytes {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

// Mark is how far the subscriptions of one subject are.
type Mark struct {
	Place Place
	// Subscriptions is how many of the connection had the subject: as many resume.
	Subscriptions int
}

// spot is a mark and until when it may be taken over; the zero time while the
// connection that it belongs to is open.
type spot struct {
	Mark
	until time.Time
}

// Stats counts what a Store holds now, and what it did since it was made.
type Stats struct {
	Keys      int    // keys known now, of open and of ended connections
	Away      int    // of these, without an open connection
	Bytes     int    // estimate of the memory that all marks take now
	Forgotten uint64 // keys given up before their time, because there was no room
	Refused   uint64 // connections and subscriptions that got no mark, because there was no room
}

// Store holds the marks of one process. Safe for concurrent use. It calls nobody
// while it holds its lock.
type Store struct {
	opts Options

	mu      sync.Mutex // guards what follows, and the fields of each entry and Holder
	entries map[Key]*entry
	away    *list.List                            // of the *entry without an open connection, which ended first in front
	users   map[status.UserID]map[*entry]struct{} // those away, by user
	begun   map[Key]struct{}                      // have a subject of which the stream knows nothing
	stats   Stats

	begins chan struct{} // holds a value when begun may have keys
}

// entry is what belongs to one key.
type entry struct {
	key     Key
	holders []*Holder

	// Of connections that have ended: the lower marks of all, and how many
	// connections there were. Each may be back once.
	away        map[string]spot
	connections int

	parked *list.Element // in Store.away, while there is no holder
	until  time.Time     // when it is forgotten, while parked

	dirty   bool      // the stream does not have it as it is
	stored  bool      // the stream has marks of it
	written time.Time // when it was last written
}

// New returns a Store that knows nobody.
func New(opts Options) (*Store, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	return &Store{
		opts:    opts.withDefaults(),
		entries: map[Key]*entry{},
		away:    list.New(),
		users:   map[status.UserID]map[*entry]struct{}{},
		begun:   map[Key]struct{}{},
		begins:  make(chan struct{}, 1),
	}, nil
}

// Stats returns the counts of now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(time.Now())
	st := s.stats
	st.Keys, st.Away = len(s.entries), s.away.Len()
	return st
}

// Open enters a connection. It gets the marks that are away under its key, and a
// copy of those that open connections of the key hold: the browser may have come
// back before the end of its old connection was seen, or there are two of the same
// name. It is nil when there is no room: then the connection is not resumable.
func (s *Store) Open(key Key) *Holder {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(now)
	e := s.entries[key]
	if e == nil {
		e = s.addLocked(key)
	}
	h := &Holder{store: s, entry: e, held: map[string]spot{}, left: map[string]spot{}, taken: map[string]spot{}}
	older := e.holders
	for _, other := range older {
		s.mergeLocked(h.left, other.allLocked(now))
	}
	s.mergeLocked(h.left, e.away)
	s.unparkLocked(e)
	if e.connections--; e.connections <= 0 {
		s.clearLocked(e.away)
		e.connections = 0
	}
	e.holders = append(e.holders[:len(older):len(older)], h)
	if !s.fitLocked(e) {
		s.stats.Refused++
		s.clearLocked(h.left)
		e.holders = older
		s.settleLocked(e, now)
		return nil
	}
	for _, other := range older {
		other.superseded.Store(true)
	}
	e.dirty = e.dirty || e.stored || len(h.left) > 0
	return h
}

// Subjects are those that a connection of the key would go on with if it were opened
// now, in no order. It changes nothing.
func (s *Store) Subjects(key Key) []string {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		return nil
	}
	known := map[string]struct{}{}
	note := func(spots map[string]spot) {
		for subject, sp := range spots {
			if sp.until.IsZero() || sp.until.After(now) {
				known[subject] = struct{}{}
			}
		}
	}
	note(e.away)
	for _, h := range e.holders {
		note(h.held)
		note(h.left)
		note(h.taken)
	}
	return slices.Collect(maps.Keys(known))
}

// Places returns the marks of connections that have ended: of each subject the lowest
// place.
func (s *Store) Places() map[string]Place {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(now)
	all := map[string]Place{}
	for e := s.away.Front(); e != nil; e = e.Next() {
		for subject, sp := range e.Value.(*entry).away {
			switch have, ok := all[subject]; {
			case !sp.until.After(now):
			case ok:
				all[subject] = Lower(have, sp.Place)
			default:
				all[subject] = sp.Place
			}
		}
	}
	return all
}

func (s *Store) addLocked(key Key) *entry {
	e := &entry{key: key, away: map[string]spot{}}
	s.entries[key] = e
	s.stats.Bytes += e.baseBytes()
	return e
}

// settleLocked parks an entry that no connection holds any more, or forgets it
// when there is nothing to remember. One that the stream has marks of stays until
// the stream has been told.
func (s *Store) settleLocked(e *entry, now time.Time) {
	if len(e.holders) > 0 {
		return
	}
	if len(e.away) == 0 && !e.stored {
		s.dropLocked(e)
		return
	}
	s.parkLocked(e, now.Add(s.opts.Keep))
}

func (s *Store) parkLocked(e *entry, until time.Time) {
	s.unparkLocked(e)
	e.until = until
	e.parked = s.away.PushBack(e)
	mine := s.users[e.key.User]
	if mine == nil {
		mine = map[*entry]struct{}{}
		s.users[e.key.User] = mine
	}
	mine[e] = struct{}{}
	if len(mine) <= s.opts.MaxAwayPerUser {
		return
	}
	var oldest *entry
	for other := range mine {
		if other != e && (oldest == nil || other.until.Before(oldest.until)) {
			oldest = other
		}
	}
	s.forgetLocked(oldest)
}

func (s *Store) unparkLocked(e *entry) {
	if e.parked == nil {
		return
	}
	s.away.Remove(e.parked)
	e.parked = nil
	mine := s.users[e.key.User]
	delete(mine, e)
	if len(mine) == 0 {
		delete(s.users, e.key.User)
	}
}

// dropLocked takes out an entry that no connection holds.
func (s *Store) dropLocked(e *entry) {
	s.unparkLocked(e)
	s.clearLocked(e.away)
	s.stats.Bytes -= e.baseBytes()
	delete(s.entries, e.key)
	delete(s.begun, e.key)
}

// forgetLocked drops an entry before its time.
func (s *Store) forgetLocked(e *entry) {
	s.stats.Forgotten++
	s.dropLocked(e)
}

func (s *Store) expireLocked(now time.Time) {
	for front := s.away.Front(); front != nil; front = s.away.Front() {
		e := front.Value.(*entry)
		if e.until.After(now) {
			return
		}
		s.dropLocked(e)
	}
}

// fitLocked forgets those that are away, the oldest first, until the bounds hold.
// It is false when that is not enough. The entry kept is not forgotten.
func (s *Store) fitLocked(kept *entry) bool {
	for s.stats.Bytes > s.opts.MaxBytes || len(s.entries) > s.opts.MaxKeys {
		front := s.away.Front()
		if front != nil && front.Value.(*entry) == kept {
			front = front.Next()
		}
		if front == nil {
			return false
		}
		s.forgetLocked(front.Value.(*entry))
	}
	return true
}

// mergeLocked puts the spots into a map that has others: of two for one subject the
// lower place counts, the later end, and the larger number of subscriptions.
func (s *Store) mergeLocked(into, more map[string]spot) {
	for subject, sp := range more {
		if have, ok := into[subject]; ok {
			sp.Place = Lower(sp.Place, have.Place)
			sp.Subscriptions = max(sp.Subscriptions, have.Subscriptions)
			if have.until.After(sp.until) {
				sp.until = have.until
			}
		}
		s.putLocked(into, subject, sp)
	}
}

func (s *Store) putLocked(into map[string]spot, subject string, sp spot) {
	s.deleteLocked(into, subject)
	into[subject] = sp
	s.stats.Bytes += sizeOf(subject, sp)
}

func (s *Store) deleteLocked(from map[string]spot, subject string) {
	if sp, ok := from[subject]; ok {
		s.stats.Bytes -= sizeOf(subject, sp)
		delete(from, subject)
	}
}

func (s *Store) clearLocked(spots map[string]spot) {
	for subject := range spots {
		s.deleteLocked(spots, subject)
	}
}

// What the memory of a key, a mark and a position beside its strings is taken for.
const (
	entryBytes    = 512
	spotBytes     = 128
	positionBytes = 48
)

func (e *entry) baseBytes() int { return entryBytes + len(e.key.User) + len(e.key.Name) }

func sizeOf(subject string, sp spot) int {
	n := spotBytes + len(subject) + len(sp.Place.Epoch)
	for seen := range sp.Place.Seen {
		n += positionBytes + len(seen)
	}
	return n
}
