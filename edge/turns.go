package edge

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/statuswire/statuswire/status"
)

// turns hands out places to users in turn, so that what one asks for delays nobody
// else's. All that the edge does for somebody goes through one of them: answers, the
// reading of histories, and each batch of those.
//
//	enter ──▶ (waits in the user's line) ──▶ has a place ──▶ end ──▶ leave
//	  │                                          ▲
//	  └ one too many: of the user, of all        └ the next user's oldest
//
// A user who has a line comes next when all others who have one have had their turn.
// Operators count as one user. Safe for concurrent use.
type turns struct {
	bounds bounds

	mu      sync.Mutex // guards what follows
	users   map[status.UserID]*line
	next    *list.List // of *line: those who wait and may have a place
	placed  int        // that are taken
	entered int
}

// bounds are how many there may be.
type bounds struct {
	places, userPlaces   int // at once: of all together, of one user
	entered, userEntered int // those that wait included
}

// line is one user.
type line struct {
	user    status.UserID
	entered int
	placed  int           // places that the user has, or still rests from
	waiting []*waiter     // the oldest first
	at      *list.Element // in turns.next; nil when not
}

// waiter is who waits for a place.
type waiter struct {
	line    *line
	granted func() // called once there is a place; must not block
	given   bool
}

func newTurns(b bounds) *turns {
	return &turns{bounds: b, users: map[status.UserID]*line{}, next: list.New()}
}

// tooMany says of what there is one too many.
type tooMany int

const (
	fits tooMany = iota
	ofUser
	ofAll
)

// enter counts one in, unless it is one too many. Who has entered leaves.
func (t *turns) enter(u status.UserID) tooMany {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.users[u]
	switch {
	case l != nil && l.entered >= t.bounds.userEntered:
		return ofUser
	case t.entered >= t.bounds.entered:
		return ofAll
	case l == nil:
		l = &line{user: u}
		t.users[u] = l
	}
	l.entered++
	t.entered++
	return fits
}

// leave counts out who has entered.
func (t *turns) leave(u status.UserID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.users[u]
	l.entered--
	t.entered--
	t.forgetLocked(l)
}

// forgetLocked forgets a user of whom there is nothing; mu is held.
func (t *turns) forgetLocked(l *line) {
	if l.entered == 0 && l.placed == 0 && len(l.waiting) == 0 {
		delete(t.users, l.user)
	}
}

// await calls granted, perhaps at once, when it is the turn of the user, who has entered,
// and there is a place. Give that back with end.
func (t *turns) await(u status.UserID, granted func()) *waiter {
	t.mu.Lock()
	l := t.users[u]
	w := &waiter{line: l, granted: granted}
	l.waiting = append(l.waiting, w)
	t.lineUpLocked(l)
	given := t.giveLocked()
	t.mu.Unlock()
	tell(given)
	return w
}

// errNotNow is what begin returns when the channel was closed.
var errNotNow = errors.New("the place is not to be had any more")

// begin waits for a place until ctx ends, or the channel never is closed. Give it back
// with end.
func (t *turns) begin(ctx context.Context, u status.UserID, never <-chan struct{}) error {
	place := make(chan struct{})
	w := t.await(u, func() { close(place) })
	var err error
	select {
	case <-place:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-never:
		err = errNotNow
	}
	if !t.abandon(w) {
		t.end(u, 0) // it came at the same moment
	}
	return err
}

// abandon takes back an await. It is false when there is a place already.
func (t *turns) abandon(w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.given {
		return false
	}
	l := w.line
	l.waiting = slices.DeleteFunc(l.waiting, func(other *waiter) bool { return other == w })
	t.lineUpLocked(l)
	t.forgetLocked(l)
	return true
}

// end gives a place back. It is others' at once, and the user's own again after the
// rest.
func (t *turns) end(u status.UserID, rest time.Duration) {
	t.mu.Lock()
	t.placed--
	if rest <= 0 {
		t.restedLocked(u)
	}
	given := t.giveLocked()
	t.mu.Unlock()
	tell(given)
	if rest > 0 {
		time.AfterFunc(rest, func() { t.rested(u) })
	}
}

func (t *turns) rested(u status.UserID) {
	t.mu.Lock()
	t.restedLocked(u)
	given := t.giveLocked()
	t.mu.Unlock()
	tell(given)
}

func (t *turns) restedLocked(u status.UserID) {
	l := t.users[u]
	l.placed--
	t.lineUpLocked(l)
	t.forgetLocked(l)
}

// lineUpLocked has the user stand in next if, and only if, it belongs there; mu is held.
func (t *turns) lineUpLocked(l *line) {
	switch belongs := len(l.waiting) > 0 && l.placed < t.bounds.userPlaces; {
	case belongs && l.at == nil:
		l.at = t.next.PushBack(l)
	case !belongs && l.at != nil:
		t.next.Remove(l.at)
		l.at = nil
	}
}

// giveLocked gives the free places to who is next, and returns who has one now; mu is
// held.
func (t *turns) giveLocked() (given []*waiter) {
	for t.placed < t.bounds.places && t.next.Len() > 0 {
		l := t.next.Front().Value.(*line)
		t.next.Remove(l.at)
		l.at = nil
		w := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		w.given = true
		l.placed++
		t.placed++
		t.lineUpLocked(l) // behind the others
		given = append(given, w)
	}
	return given
}

func tell(given []*waiter) {
	for _, w := range given {
		w.granted()
	}
}
