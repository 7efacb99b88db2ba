package limit

import "time"

// recent is a sliding log: the newest moments of something, oldest first, in a
// ring. A moment is a duration since some start. It holds at most as many as
// anyone asked about, which is all that is needed to decide.
type recent struct {
	ring  []time.Duration
	first int // where the oldest stands
	count int
}

// expire forgets what is as old as the period.
func (r *recent) expire(at, period time.Duration) {
	for r.count > 0 && at-r.ring[r.first] >= period {
		r.first = (r.first + 1) % len(r.ring)
		r.count--
	}
}

// add enters a moment and keeps the newest keep of them, at least one.
func (r *recent) add(at time.Duration, keep int) {
	if r.count == len(r.ring) && len(r.ring) < keep {
		r.grow(min(keep, max(8, 2*len(r.ring))))
	}
	if r.count == len(r.ring) {
		r.first = (r.first + 1) % len(r.ring)
		r.count--
	}
	r.ring[(r.first+r.count)%len(r.ring)] = at
	r.count++
}

func (r *recent) grow(size int) {
	bigger := make([]time.Duration, size)
	for i := range r.count {
		bigger[i] = r.ring[(r.first+i)%len(r.ring)]
	}
	r.ring, r.first = bigger, 0
}

// newest is the n-th newest moment, from 1 to count.
func (r *recent) newest(n int) time.Duration {
	return r.ring[(r.first+r.count-n)%len(r.ring)]
}

// check asks for wanted more within the period. Call expire first.
func (r *recent) check(name Name, rule Rule, at, period time.Duration, wanted int) Verdict {
	v := rule.check(name, r.count, wanted)
	if v.Hit() && wanted <= rule.Value {
		v.RetryAfter = r.newest(rule.Value-wanted+1) + period - at
	}
	return v
}
