package edge

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/statuswire/statuswire/internal/pause"
	"github.com/statuswire/statuswire/status"
)

// lanes is how many batches are read and sent at the same time.
const lanes = 2

// longestRest bounds the rest after a batch, or an answer.
const longestRest = 20 * time.Millisecond

// replays are the histories that are being read, or wait for that. Each reads batch by
// batch, for which its user takes turns again.
type replays struct {
	patience time.Duration // of those that wait
	running  sync.WaitGroup
	reading  *turns
	batches  *turns
	bytes    *allowance
}

func newReplays(o HistoryOptions, bytes *allowance) *replays {
	return &replays{
		patience: o.WaitTimeout,
		reading:  newTurns(bounds{places: o.AtOnce, userPlaces: o.AtOnce, entered: o.AtOnce + o.Waiting, userEntered: o.PerUser}),
		batches:  newTurns(bounds{places: lanes, userPlaces: lanes, entered: math.MaxInt, userEntered: math.MaxInt}),
		bytes:    bytes,
	}
}

// enter counts a request in, or says why it is one too many.
func (r *replays) enter(u status.UserID) *status.Error {
	switch r.reading.enter(u) {
	case ofUser:
		return status.ErrTooManyReplays.Withf("you are reading %d histories, which is the limit: wait until one has ended", r.reading.bounds.userEntered)
	case ofAll:
		return errNoPlace()
	}
	r.batches.enter(u)
	return nil
}

func errNoPlace() *status.Error {
	return status.ErrOverloaded.Withf("more histories are being read than can be at once: ask again in a moment")
}

// begin waits for a place to read. Give it back with end.
func (r *replays) begin(ctx context.Context, u status.UserID, stopping <-chan struct{}) error {
	waiting, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	err := r.reading.begin(waiting, u, stopping)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNotNow):
		return status.ErrUnavailable.Withf("the edge is stopping: ask again")
	}
	return errNoPlace()
}

func (r *replays) end(u status.UserID) { r.reading.end(u, 0) }

// leave counts out what entered.
func (r *replays) leave(u status.UserID) {
	r.batches.leave(u)
	r.reading.leave(u)
}

// turn does one batch when it is the user's turn. When there is more to come, the lane
// then rests for as long as the batch took, so that however many histories are read,
// half of the lanes' time is left to what is live. A user who has had more bytes than
// its allowance rests, and others have the lane meanwhile.
func (r *replays) turn(ctx context.Context, u status.UserID, batch func() (bytes int, more bool, err error)) error {
	if err := r.batches.begin(ctx, u, nil); err != nil {
		return err
	}
	var rest time.Duration
	defer func() { r.batches.end(u, rest) }()
	begun := time.Now()
	bytes, more, err := batch()
	took := time.Since(begun)
	if err == nil && more {
		pause.For(ctx.Done(), min(took, longestRest))
	}
	rest = r.bytes.spend(time.Now(), u, bytes)
	return err
}
