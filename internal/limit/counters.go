package limit

import "sync"

// Counters counts by key how many of something there are: connections by user,
// connections by address (see Network). A key is remembered while its count is
// above zero, so there are never more keys than things counted. Safe for
// concurrent use.
type Counters[K comparable] struct {
	name Name
	rule Rule

	mu     sync.Mutex // guards counts
	counts map[K]int
}

// NewCounters returns Counters that let each key have rule.Value.
func NewCounters[K comparable](name Name, rule Rule) *Counters[K] {
	return &Counters[K]{name: name, rule: rule, counts: map[K]int{}}
}

// Take asks for one and counts it unless the Verdict is Refused. Each that was
// counted is given back by one Release.
func (c *Counters[K]) Take(key K) Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts[key]
	v := c.rule.check(c.name, n, 1)
	if !v.Refused() {
		c.counts[key] = n + 1
	}
	return v
}

// Release gives one back. One that was never taken changes nothing.
func (c *Counters[K]) Release(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.counts[key]; n > 1 {
		c.counts[key] = n - 1
		return
	}
	delete(c.counts, key)
}

// Usage says where the limit of the key stands.
func (c *Counters[K]) Usage(key K) Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Usage{Name: c.name, Limit: c.rule.Value, Used: c.counts[key], DryRun: c.rule.DryRun}
}

// Len is how many keys have a count.
func (c *Counters[K]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.counts)
}
