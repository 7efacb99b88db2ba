package edge

import (
	"context"
	"sync"
	"time"

	"github.com/statuswire/statuswire/internal/pause"
	"github.com/statuswire/statuswire/status"
)

// lanes is how many batches are read and sent at the same time.
const lanes = 2

// longestRest bounds the rest after a batch.
const longestRest = 20 * time.Millisecond

// replays counts the histories that are being read, or wait for that, and has them
// take turns.
type replays struct {
	perUser, most int
	patience      time.Duration // of those that wait
	running       sync.WaitGroup
	places        chan struct{} // holds a value for each one that is being read
	turns         chan struct{} // holds a value for each batch that is on its way

	mu    sync.Mutex // guards what follows
	users map[status.UserID]int
	all   int
}

func newReplays(o HistoryOptions) *replays {
	return &replays{
		perUser: o.PerUser, most: o.AtOnce + o.Waiting, patience: o.WaitTimeout,
		places: make(chan struct{}, o.AtOnce), turns: make(chan struct{}, lanes),
		users: map[status.UserID]int{},
	}
}

// enter counts a request in, or says why it is one too many.
func (r *replays) enter(u status.UserID) *status.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.users[u] >= r.perUser:
		return status.ErrTooManyReplays.Withf("you are reading %d histories, which is the limit: wait until one has ended", r.perUser)
	case r.all >= r.most:
		return errNoPlace()
	}
	r.users[u]++
	r.all++
	return nil
}

func errNoPlace() *status.Error {
	return status.ErrOverloaded.Withf("more histories are being read than can be at once: ask again in a moment")
}

// begin waits for a place to read; who waits longest gets the next one. Give it
// back with end.
func (r *replays) begin(ctx context.Context, stopping <-chan struct{}) error {
	patience := time.NewTimer(r.patience)
	defer patience.Stop()
	select {
	case r.places <- struct{}{}:
		return nil
	case <-patience.C:
		return errNoPlace()
	case <-stopping:
		return status.ErrUnavailable.Withf("the edge is stopping: ask again")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *replays) end() { <-r.places }

// leave counts out what entered.
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
	pause.For(ctx.Done(), min(time.Since(begun), longestRest))
	return nil
}
