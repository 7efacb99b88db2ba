package tail

import "sync"

// Limits of a Store.
type Limits struct {
	// Bytes bounds all tails together. 0 or less: nothing is kept.
	Bytes int
	// TopicBytes and TopicStatuses bound each one.
	TopicBytes, TopicStatuses int
}

// Stats is what a Store holds now.
type Stats struct {
	Statuses int
	Bytes    int // estimate of the memory that they take
}

// Store is the memory that the tails of one process share. Safe for concurrent use,
// its tails included. It calls nobody.
type Store struct {
	limits Limits

	mu             sync.Mutex // guards what follows, and every Tail
	stats          Stats
	oldest, newest *node // of all tails, by when they were added
}

// NewStore returns a Store that holds nothing.
func NewStore(limits Limits) *Store { return &Store{limits: limits} }

// Stats returns what is held now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Over is true when all tails together have more than they may.
func (s *Store) Over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.Bytes > s.limits.Bytes
}

// DropOldest drops the status that was added first, whosever it is.
func (s *Store) DropOldest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest != nil {
		s.oldest.tail.dropFirstLocked()
	}
}

// node is a status in its tail, and among all.
type node struct {
	Status
	tail         *Tail
	next         *node // in its tail
	older, newer *node // of all
}

// nodeBytes is what a status takes beside its header and data: the node, and what the
// allocator rounds up.
const nodeBytes = 160

func (n *node) bytes() int { return nodeBytes + len(n.Header) + len(n.Data) }

func (s *Store) linkLocked(n *node) {
	n.older = s.newest
	if s.newest != nil {
		s.newest.newer = n
	} else {
		s.oldest = n
	}
	s.newest = n
	s.stats.Statuses++
	s.stats.Bytes += n.bytes()
}

func (s *Store) unlinkLocked(n *node) {
	if n.older != nil {
		n.older.newer = n.newer
	} else {
		s.oldest = n.newer
	}
	if n.newer != nil {
		n.newer.older = n.older
	} else {
		s.newest = n.older
	}
	s.stats.Statuses--
	s.stats.Bytes -= n.bytes()
}
