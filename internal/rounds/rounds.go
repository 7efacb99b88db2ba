// Package rounds calls each of many once in an interval, a part of them at a time, so
// that not all are called in the same moment.
package rounds

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// parts is into how many parts the members are divided, each called in its turn.
const parts = 20

// Rounds calls its members. Safe for concurrent use.
type Rounds[T comparable] struct {
	interval time.Duration
	call     func(T)
	done     chan struct{}
	once     sync.Once

	mu      sync.Mutex // guards members
	members [parts]map[T]struct{}
}

// New makes rounds of the interval. It starts nothing.
func New[T comparable](interval time.Duration, call func(T)) *Rounds[T] {
	r := &Rounds[T]{interval: interval, call: call, done: make(chan struct{})}
	for i := range r.members {
		r.members[i] = map[T]struct{}{}
	}
	return r
}

// Add makes t a member. Those with ids in a row are evenly divided.
func (r *Rounds[T]) Add(id uint64, t T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[id%parts][t] = struct{}{}
}

// Remove takes out what was added with the id. It may be called once more, if it is its
// turn now.
func (r *Rounds[T]) Remove(id uint64, t T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members[id%parts], t)
}

// Run calls each member once in an interval until Stop.
func (r *Rounds[T]) Run() {
	tick := time.NewTicker(max(time.Millisecond, r.interval/parts))
	defer tick.Stop()
	var turn []T
	for i := 0; ; i = (i + 1) % parts {
		select {
		case <-r.done:
			return
		case <-tick.C:
		}
		r.mu.Lock()
		turn = slices.AppendSeq(turn[:0], maps.Keys(r.members[i]))
		r.mu.Unlock()
		for _, t := range turn {
			r.call(t)
		}
		clear(turn) // holds no member that has gone
	}
}

// Stop ends Run. Stopping twice, or before it, is fine.
func (r *Rounds[T]) Stop() { r.once.Do(func() { close(r.done) }) }
