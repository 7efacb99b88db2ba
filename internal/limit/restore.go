package limit

import (
	"slices"
	"time"
)

// RestorePeriod is how long a set may be restored for free after its connection
// ended.
const RestorePeriod = 2 * time.Minute

// MaxRemembered is how many subscriptions of one user are remembered for
// restoring; above it the oldest sets are forgotten, and restoring them counts.
const MaxRemembered = 1024

// remembered are the subscriptions that a user may restore for free: the sets of
// the connections that ended, oldest first.
//
// Why that cannot be farmed. Call a subscription that is held, or may be had for
// free, a right. A right is made by a counted SUB only; an ended connection turns
// what it held into rights to restore, and a free SUB turns one back. So there
// are never more rights to a subject than counted SUBs of it. That alone would
// let a user collect rights to several sets, one after the other, and then swap
// them by reconnecting. So a counted SUB takes away one right to restore, if
// there is one: what is new stands in the place of something that was left. All
// rights together grow only when nothing is left to restore, and are never more
// than what was held at one time: restoring leads back, never elsewhere.
// TestRestoringCannotBeFarmed holds both.
type remembered struct {
	sets  []set
	total int // subjects in all sets
}

// set is what one connection held when it ended.
type set struct {
	until time.Duration
	left  []string // those not restored yet
	free  int      // how many of left may be had for free, from 1 to len(left)
}

func (r *remembered) expire(at time.Duration) {
	for len(r.sets) > 0 && at >= r.sets[0].until {
		r.drop(0)
	}
}

func (r *remembered) drop(i int) {
	r.total -= len(r.sets[i].left)
	r.sets = slices.Delete(r.sets, i, i+1)
}

// add remembers a copy of the subjects. Nothing is too much at once: what does
// not fit is left out.
func (r *remembered) add(at time.Duration, subjects []string) {
	subjects = subjects[:min(len(subjects), MaxRemembered)]
	if len(subjects) == 0 {
		return
	}
	for r.total+len(subjects) > MaxRemembered {
		r.drop(0)
	}
	r.sets = append(r.sets, set{until: at + RestorePeriod, left: slices.Clone(subjects), free: len(subjects)})
	r.total += len(subjects)
}

// clone is a copy that shares nothing.
func (r remembered) clone() remembered {
	r.sets = slices.Clone(r.sets)
	for i := range r.sets {
		r.sets[i].left = slices.Clone(r.sets[i].left)
	}
	return r
}

// take restores the subject, from the oldest set that has it.
func (r *remembered) take(subject string) bool {
	for i := range r.sets {
		s := &r.sets[i]
		j := slices.Index(s.left, subject)
		if j < 0 {
			continue
		}
		last := len(s.left) - 1
		s.left[j], s.left[last] = s.left[last], ""
		s.left = s.left[:last]
		r.total--
		r.spend(i)
		return true
	}
	return false
}

// displace takes one right to restore away, of the oldest set.
func (r *remembered) displace() {
	if len(r.sets) > 0 {
		r.spend(0)
	}
}

func (r *remembered) spend(i int) {
	if r.sets[i].free--; r.sets[i].free == 0 {
		r.drop(i)
	}
}

// free is how many subscriptions may be restored.
func (r *remembered) free() int {
	n := 0
	for i := range r.sets {
		n += r.sets[i].free
	}
	return n
}
