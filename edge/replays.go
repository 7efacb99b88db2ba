package edge

import (
	"context"
	"sync"
	"time"

	"github.com/statuswire/statuswire/status"
)

// lanes is how many batches are read and sent at the same time.
const lanes = 2

// longestRest bounds the rest after a batch.
const longestRest = 20 * time.Millisecond

// replays counts the histories that are being read, and has them take turns.
type replays struct {
	perUser, atOnce int
	running         sync.WaitGroup
	turns           chan struct{} // holds a value for each batch that is on its way

	mu    sync.Mutex // guards what follows
	users map[status.UserID]int
	all   int
}

func newReplays(o HistoryOptions) *replays {
	return &replays{perUser: o.PerUser, atOnce: o.AtOnce, turns: make(chan struct{}, lanes), users: map[status.UserID]int{}}
}

// enter takes a place, or says why there is none.
func (r *replays) enter(u status.UserID) *status.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.users[u] >= r.perUser:
		return status.ErrTooManyReplays.Withf("you are reading %d histories, which is the limit: wait until one has ended", r.perUser)
	case r.all >= r.atOnce:
		return status.ErrOverloaded.Withf("more histories are being read than can be at once: ask again in a moment")
	}
	r.users[u]++
	r.all++
	return nil
}

func (r *replays) leave(u status.UserID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.users[u]--; r.users[u] == 0 {
		delete(r.users, u)
	}
}

// turn does one batch when it is its turn: who waits longest is the next. When
// there is more to come, the lane then rests for as long as the batch took, so that
// however many histories are read, half of the lanes' time is left to what is live.
func (r *replays) turn(ctx context.Context, batch func() (more bool, err error)) error {
	select {
	case r.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.turns }()
	begun := time.Now()
	more, err := batch()
	if err != nil || !more {
		return err
	}
	rest := time.NewTimer(min(time.Since(begun), longestRest))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	return nil
}
