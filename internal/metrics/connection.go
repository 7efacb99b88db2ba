package metrics

import "time"

// Connection follows one browser's connection. The zero value follows nothing.
// Not safe for concurrent use: it belongs to whoever reads the socket.
type Connection struct {
	metrics *Metrics // nil: not open any more
	opened  time.Time
	changes int
	minute  int // of the connection's life, in which the last change was
	recent  int // changes in that minute
}

// Connect counts a connection in. Close counts it out.
func (m *Metrics) Connect(now time.Time) Connection {
	if m == nil {
		return Connection{}
	}
	m.connections.Inc()
	return Connection{metrics: m, opened: now}
}

// Changed counts a SUB or UNSUB of a status subject. It allocates nothing.
func (c *Connection) Changed(now time.Time) {
	if c.metrics == nil {
		return
	}
	if minute := int(now.Sub(c.opened) / time.Minute); minute != c.minute {
		c.observeMinute()
		c.minute = minute
	}
	c.changes++
	c.recent++
}

// Close counts the connection out, the first time that it is called.
func (c *Connection) Close(now time.Time) {
	m := c.metrics
	if m == nil {
		return
	}
	c.observeMinute()
	c.metrics = nil
	m.connections.Dec()
	m.duration.Observe(now.Sub(c.opened).Seconds())
	m.changes.Observe(float64(c.changes))
}

func (c *Connection) observeMinute() {
	if c.recent > 0 {
		c.metrics.changesPerMinute.Observe(float64(c.recent))
		c.recent = 0
	}
}
