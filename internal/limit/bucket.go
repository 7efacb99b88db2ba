package limit

import (
	"sync"
	"time"
)

// bucket is a token bucket that holds one second's worth and is full at first:
// in any time T it lets at most Value + T·Value pass. It keeps only the time at
// which it would be full again (the virtual scheduling form of ITU-T I.371's
// generic cell rate algorithm), so a changed Value holds at once.
type bucket struct {
	full time.Time
}

func (b *bucket) take(name Name, now time.Time, r Rule) Verdict {
	if r.Value < 0 {
		return Verdict{}
	}
	if r.Value == 0 {
		return Verdict{Name: name, Wanted: 1, Dry: r.DryRun}
	}
	step, missing := stepOf(r.Value), b.missing(now)
	if room := time.Duration(r.Value-1) * step; missing > room {
		return Verdict{
			Name: name, Limit: r.Value, Used: r.Value, Wanted: 1,
			RetryAfter: missing - room, Dry: r.DryRun,
		}
	}
	b.full = now.Add(missing + step)
	return Verdict{}
}

// missing is how long the bucket takes to be full.
func (b *bucket) missing(now time.Time) time.Duration { return max(0, b.full.Sub(now)) }

// usage counts a token as used until it is wholly back.
func (b *bucket) usage(name Name, now time.Time, r Rule) Usage {
	u := Usage{Name: name, Limit: r.Value, DryRun: r.DryRun}
	if r.Value > 0 {
		step := stepOf(r.Value)
		u.Used = min(r.Value, int((b.missing(now)+step-1)/step))
	}
	return u
}

// stepOf is the time for one token, rounded up so that no more than the value pass.
func stepOf(value int) time.Duration {
	v := time.Duration(value)
	return (time.Second + v - 1) / v
}

// Rate limits how many of something pass in a second, all callers together, with
// as many at once after a quiet second. Safe for concurrent use.
type Rate struct {
	name Name
	rule Rule

	mu sync.Mutex // guards b
	b  bucket
}

// NewRate returns a Rate that lets rule.Value a second pass.
func NewRate(name Name, rule Rule) *Rate { return &Rate{name: name, rule: rule} }

// Take asks for one.
func (r *Rate) Take(now time.Time) Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.take(r.name, now, r.rule)
}

// Usage says where the limit stands.
func (r *Rate) Usage(now time.Time) Usage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.usage(r.name, now, r.rule)
}
