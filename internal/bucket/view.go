package bucket

import (
	"context"
	"slices"
	"sync"
)

// Index is what is kept beside the entries to find them by. The view calls it with
// its lock held.
type Index[T any] interface {
	Put(key string, value T)
	Drop(key string, value T)
}

// view is the bucket in memory. Safe for concurrent use.
type view[T any] struct {
	values   Values[T]
	newIndex func() Index[T]

	mu      sync.RWMutex // guards everything below
	table   *table[T]
	waiters map[*waiter]struct{}
}

// waiter waits for the view to come to a revision.
type waiter struct {
	revision uint64
	done     chan struct{}
}

// table is the content of a view.
type table[T any] struct {
	entries  map[string]*Entry[T] // deletions and broken ones too
	index    Index[T]             // of live entries
	order    []string             // the live ones, ascending; nil = to be made
	live     int                  // number of live entries
	revision uint64               // everything up to it is in
}

func newView[T any](values Values[T], newIndex func() Index[T]) *view[T] {
	if newIndex == nil {
		newIndex = func() Index[T] { return nothing[T]{} }
	}
	v := &view[T]{values: values, newIndex: newIndex, waiters: map[*waiter]struct{}{}}
	v.table = v.newTable()
	return v
}

func (v *view[T]) newTable() *table[T] {
	return &table[T]{entries: map[string]*Entry[T]{}, index: v.newIndex()}
}

// set puts e in place of what stands under the key, and keeps the indexes.
func (t *table[T]) set(key string, e *Entry[T]) {
	if old := t.entries[key]; old != nil && old.State == Live {
		t.live--
		t.order = nil
		t.index.Drop(key, old.Value)
	}
	t.entries[key] = e
	if e.State == Live {
		t.live++
		t.order = nil
		t.index.Put(key, e.Value)
	}
	t.revision = max(t.revision, e.Revision)
}

func (t *table[T]) get(key string) *Entry[T] {
	if e := t.entries[key]; e != nil {
		return e
	}
	return &Entry[T]{}
}

// get returns what stands under the key; never nil.
func (v *view[T]) get(key string) *Entry[T] {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.table.get(key)
}

func (v *view[T]) read(f func(get func(key string) *Entry[T], index Index[T])) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	f(v.table.get, v.table.index)
}

func (v *view[T]) revision() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.table.revision
}

func (v *view[T]) live() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.table.live
}

// set takes one message of the watch in.
func (v *view[T]) set(key string, e *Entry[T]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.table.set(key, e)
	v.wakeLocked()
}

// skip notes that a message which is no entry was passed.
func (v *view[T]) skip(revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.table.revision = max(v.table.revision, revision)
	v.wakeLocked()
}

// replace puts a table that was loaded anew in place of the old one and returns
// the keys that differ, in the order of their last change; those that have vanished
// come last.
func (v *view[T]) replace(t *table[T]) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.table
	v.table = t
	v.wakeLocked()
	var changed, vanished []string
	for key, e := range t.entries {
		before := old.entries[key]
		if before == nil && e.State == Absent || before != nil && v.values.same(before, e) {
			continue
		}
		changed = append(changed, key)
	}
	for key, e := range old.entries {
		if t.entries[key] == nil && e.State != Absent {
			vanished = append(vanished, key)
		}
	}
	slices.SortFunc(changed, func(a, b string) int {
		return int(int64(t.entries[a].Revision) - int64(t.entries[b].Revision))
	})
	slices.Sort(vanished)
	return append(changed, vanished...)
}

func (v *view[T]) wakeLocked() {
	for w := range v.waiters {
		if v.table.revision >= w.revision {
			close(w.done)
			delete(v.waiters, w)
		}
	}
}

// await returns when the view shows everything up to revision.
func (v *view[T]) await(ctx context.Context, revision uint64) error {
	v.mu.Lock()
	if v.table.revision >= revision {
		v.mu.Unlock()
		return nil
	}
	w := &waiter{revision: revision, done: make(chan struct{})}
	v.waiters[w] = struct{}{}
	v.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		v.mu.Lock()
		delete(v.waiters, w)
		v.mu.Unlock()
		return ctx.Err()
	}
}

// page returns up to limit live values, by key, whose key is greater than after.
func (v *view[T]) page(after string, limit int) []T {
	v.order() // outside of the read lock
	v.mu.RLock()
	defer v.mu.RUnlock()
	keys := v.table.order
	if keys == nil {
		keys = sortedLive(v.table)
	}
	start, found := slices.BinarySearch(keys, after)
	if found {
		start++
	}
	keys = keys[start:]
	keys = keys[:min(limit, len(keys))]
	list := make([]T, 0, len(keys))
	for _, key := range keys {
		list = append(list, v.table.entries[key].Value)
	}
	return list
}

// order sorts the keys when that is to be done, so that the pages of one listing
// share the work.
func (v *view[T]) order() {
	v.mu.RLock()
	t, ready := v.table, v.table.order != nil
	var keys []string
	revision := t.revision
	if !ready {
		keys = sortedLive(t)
	}
	v.mu.RUnlock()
	if ready {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.table == t && t.revision == revision {
		t.order = keys
	}
}

func sortedLive[T any](t *table[T]) []string {
	keys := make([]string, 0, t.live)
	for key, e := range t.entries {
		if e.State == Live {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// nothing is the index of who needs none.
type nothing[T any] struct{}

func (nothing[T]) Put(string, T)  {}
func (nothing[T]) Drop(string, T) {}
