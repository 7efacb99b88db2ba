package edge

import (
	"sync"
	"time"

	"github.com/statuswire/statuswire/status"
)

// pace is how many bytes a user may have.
type pace struct {
	peak   int // in a second, at any time; 0 for no bound at all
	steady int // in a second, in the long run
	burst  int // beyond the steady ones, after a quiet time
}

// allowance is how many bytes users may have, each for itself. It keeps for each the
// time at which nothing of that is used any more, and forgets who has reached it. Safe
// for concurrent use.
type allowance struct {
	pace pace

	mu    sync.Mutex // guards what follows
	spent map[status.UserID]spent
	sweep int // users from which on those who have it all again are looked for
}

// spent is when a user's bytes have passed at the peak's speed, and when they have at
// the steady one.
type spent struct{ peak, steady time.Time }

// leastSwept is how many users are never worth a look at all of them.
const leastSwept = 64

func newAllowance(p pace) *allowance {
	return &allowance{pace: p, spent: map[status.UserID]spent{}, sweep: leastSwept}
}

// spend takes the bytes, which the user has had, and returns how long the user then has
// to rest.
func (a *allowance) spend(now time.Time, u status.UserID, bytes int) time.Duration {
	if a.pace.peak == 0 {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweepLocked(now)
	s := a.spent[u]
	s.peak = later(s.peak, now).Add(timeOf(bytes, a.pace.peak))
	s.steady = later(s.steady, now).Add(timeOf(bytes, a.pace.steady))
	a.spent[u] = s
	return max(s.peak.Sub(now), s.steady.Sub(now)-timeOf(a.pace.burst, a.pace.steady))
}

func timeOf(bytes, perSecond int) time.Duration {
	return time.Duration(bytes) * time.Second / time.Duration(perSecond)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sweepLocked forgets who has it all again, when there are twice as many users as the
// last time has left; mu is held.
func (a *allowance) sweepLocked(now time.Time) {
	if len(a.spent) < a.sweep {
		return
	}
	for u, s := range a.spent {
		if !later(s.peak, s.steady).After(now) {
			delete(a.spent, u)
		}
	}
	a.sweep = max(leastSwept, 2*len(a.spent))
}

// users is how many are remembered.
func (a *allowance) users() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.spent)
}
