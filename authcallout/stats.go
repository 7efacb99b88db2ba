package authcallout

import (
	"maps"
	"sync"
	"time"
)

// Stats are counts since Start.
type Stats struct {
	Granted uint64
	Denied  map[Cause]uint64
	// Foreign requests are other servers', passed over in silence.
	Foreign uint64
	// Queued is how many wait for a worker now.
	Queued int
	// DurationTotal is over all verdicts, from arrival to answer; DurationMax
	// is the longest.
	DurationTotal time.Duration
	DurationMax   time.Duration
}

// Verdicts is how many connections were decided.
func (s Stats) Verdicts() uint64 {
	n := s.Granted
	for _, denied := range s.Denied {
		n += denied
	}
	return n
}

// counters collects Stats.
type counters struct {
	mu    sync.Mutex // guards stats
	stats Stats
}

func (c *counters) foreign() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Foreign++
}

func (c *counters) verdict(v Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v.Denial == nil {
		c.stats.Granted++
	} else {
		if c.stats.Denied == nil {
			c.stats.Denied = map[Cause]uint64{}
		}
		c.stats.Denied[v.Cause]++
	}
	c.stats.DurationTotal += v.Duration
	c.stats.DurationMax = max(c.stats.DurationMax, v.Duration)
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Denied = maps.Clone(s.Denied)
	return s
}
