package edge

import (
	"sync"
	"time"

	"github.com/statuswire/statuswire/status"
)

// allowance is how many bytes users may have: so many in a second, and after a quiet
// time at once as many as burst says. It keeps for each user the time at which nothing
// of that is used any more, and forgets who has reached it. Safe for concurrent use.
type allowance struct {
	perSecond, burst int // bytes; no perSecond is no bound

	mu    sync.Mutex // guards what follows
	whole map[status.UserID]time.Time
	sweep int // users from which on those who have it all again are looked for
}

// leastSwept is how many users are never worth a look at all of them.
const leastSwept = 64

func newAllowance(perSecond, burst int) *allowance {
	return &allowance{perSecond: perSecond, burst: burst, whole: map[status.UserID]time.Time{}, sweep: leastSwept}
}

// spend takes the bytes, which the user has had, and returns how long the user then has
// to rest.
func (a *allowance) spend(now time.Time, u status.UserID, bytes int) time.Duration {
	if a.perSecond == 0 {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweepLocked(now)
	whole := a.whole[u]
	if whole.Before(now) {
		whole = now
	}
	whole = whole.Add(a.timeOf(bytes))
	a.whole[u] = whole
	return max(0, whole.Sub(now)-a.timeOf(a.burst))
}

func (a *allowance) timeOf(bytes int) time.Duration {
	return time.Duration(bytes) * time.Second / time.Duration(a.perSecond)
}

// sweepLocked forgets who has it all again, when there are twice as many users as the
// last time has left; mu is held.
func (a *allowance) sweepLocked(now time.Time) {
	if len(a.whole) < a.sweep {
		return
	}
	for u, whole := range a.whole {
		if !whole.After(now) {
			delete(a.whole, u)
		}
	}
	a.sweep = max(leastSwept, 2*len(a.whole))
}

// users is how many are remembered.
func (a *allowance) users() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.whole)
}
