package edge

import (
	"sync"

	"github.com/statuswire/statuswire/status"
)

// replays counts the histories that are being read.
type replays struct {
	perUser, atOnce int
	running         sync.WaitGroup

	mu    sync.Mutex // guards what follows
	users map[status.UserID]int
	all   int
}

func newReplays(o HistoryOptions) *replays {
	return &replays{perUser: o.PerUser, atOnce: o.AtOnce, users: map[status.UserID]int{}}
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
