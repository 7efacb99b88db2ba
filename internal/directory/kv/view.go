package kv

import (
	"context"
	"slices"
	"sync"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// view is the bucket in memory. Safe for concurrent use.
type view struct {
	mu      sync.RWMutex // guards everything below
	table   *table
	waiters map[*waiter]struct{}
}

// waiter waits for the view to come to a revision.
type waiter struct {
	revision uint64
	done     chan struct{}
}

// table is the content of a view.
type table struct {
	entries  map[status.ConversationID]*entry          // deletions and broken ones too
	users    map[status.UserID][]status.ConversationID // ascending; of live entries
	order    []status.ConversationID                   // the live ones, ascending; nil = to be made
	live     int                                       // number of live entries
	revision uint64                                    // everything up to it is in
}

func newTable() *table {
	return &table{entries: map[status.ConversationID]*entry{}, users: map[status.UserID][]status.ConversationID{}}
}

func newView() *view {
	return &view{table: newTable(), waiters: map[*waiter]struct{}{}}
}

// set puts e in place of what stands under id, and keeps the indexes.
func (t *table) set(id status.ConversationID, e *entry) {
	if old := t.entries[id]; old != nil && old.state == live {
		t.unindex(old.conversation)
	}
	t.entries[id] = e
	if e.state == live {
		t.index(e.conversation)
	}
	t.revision = max(t.revision, e.revision)
}

func (t *table) index(c directory.Conversation) {
	t.live++
	t.order = nil
	for _, u := range admitted(c) {
		ids := t.users[u]
		if i, there := slices.BinarySearch(ids, c.ID); !there {
			t.users[u] = slices.Insert(ids, i, c.ID)
		}
	}
}

func (t *table) unindex(c directory.Conversation) {
	t.live--
	t.order = nil
	for _, u := range admitted(c) {
		ids := t.users[u]
		i, there := slices.BinarySearch(ids, c.ID)
		switch {
		case !there:
		case len(ids) == 1:
			delete(t.users, u)
		default:
			t.users[u] = slices.Delete(ids, i, i+1)
		}
	}
}

// admitted lists the owner and the members; the owner may be there twice.
func admitted(c directory.Conversation) []status.UserID {
	return append([]status.UserID{c.Owner}, c.Members...)
}

// get returns what stands under id; never nil.
func (v *view) get(id status.ConversationID) *entry {
	v.mu.RLock()
	e := v.table.entries[id]
	v.mu.RUnlock()
	if e == nil {
		return &entry{}
	}
	return e
}

func (v *view) revision() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.table.revision
}

func (v *view) live() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.table.live
}

// set takes one message of the watch in.
func (v *view) set(id status.ConversationID, e *entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.table.set(id, e)
	v.wakeLocked()
}

// skip notes that a message which is no conversation was passed.
func (v *view) skip(revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.table.revision = max(v.table.revision, revision)
	v.wakeLocked()
}

// replace puts a table that was loaded anew in place of the old one and returns
// the conversations that differ, in the order of their last change; those whose
// key has vanished come last.
func (v *view) replace(t *table) []status.ConversationID {
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.table
	v.table = t
	v.wakeLocked()
	var changed, vanished []status.ConversationID
	for id, e := range t.entries {
		before := old.entries[id]
		if before == nil && e.state == absent || before != nil && before.same(e) {
			continue
		}
		changed = append(changed, id)
	}
	for id, e := range old.entries {
		if t.entries[id] == nil && e.state != absent {
			vanished = append(vanished, id)
		}
	}
	slices.SortFunc(changed, func(a, b status.ConversationID) int {
		return int(int64(t.entries[a].revision) - int64(t.entries[b].revision))
	})
	slices.Sort(vanished)
	return append(changed, vanished...)
}

func (v *view) wakeLocked() {
	for w := range v.waiters {
		if v.table.revision >= w.revision {
			close(w.done)
			delete(v.waiters, w)
		}
	}
}

// await returns when the view shows everything up to revision.
func (v *view) await(ctx context.Context, revision uint64) error {
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

// ofUser returns the first limit conversations, by id, that admit the user.
func (v *view) ofUser(u status.UserID, limit int) []status.ConversationID {
	v.mu.RLock()
	defer v.mu.RUnlock()
	ids := v.table.users[u]
	return slices.Clone(ids[:min(limit, len(ids))])
}

// page returns up to limit conversations of owner ("" = of all) whose id is
// greater than after, by id.
func (v *view) page(owner status.UserID, after status.ConversationID, limit int) []directory.Conversation {
	v.order() // outside of the read lock
	v.mu.RLock()
	defer v.mu.RUnlock()
	ids := v.table.order
	if owner != "" {
		ids = v.table.users[owner]
	} else if ids == nil {
		ids = sortedLive(v.table)
	}
	start, found := slices.BinarySearch(ids, after)
	if found {
		start++
	}
	list := make([]directory.Conversation, 0, min(limit, len(ids)-start))
	for _, id := range ids[start:] {
		if len(list) == limit {
			break
		}
		if c := v.table.entries[id].conversation; owner == "" || c.Owner == owner {
			list = append(list, c)
		}
	}
	return list
}

// order sorts the ids when that is to be done, so that the pages of one listing
// share the work.
func (v *view) order() {
	v.mu.RLock()
	t, ready := v.table, v.table.order != nil
	var ids []status.ConversationID
	revision := t.revision
	if !ready {
		ids = sortedLive(t)
	}
	v.mu.RUnlock()
	if ready {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.table == t && t.revision == revision {
		t.order = ids
	}
}

func sortedLive(t *table) []status.ConversationID {
	ids := make([]status.ConversationID, 0, t.live)
	for id, e := range t.entries {
		if e.state == live {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
