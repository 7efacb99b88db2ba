package authcallout

import (
	"maps"
	"sync"
)

// Stats are counts since Start.
type Stats struct {
	Granted uint64
	Denied  map[Cause]uint64
	// Foreign requests are other servers', passed over in silence.
	Foreign uint64
	// Queued is how many wait for a worker now.
	Queued int
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
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Denied = maps.Clone(s.Denied)
	return s
}
