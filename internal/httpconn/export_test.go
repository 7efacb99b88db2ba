package httpconn

// Held is what a Counter has in its books: connections it knows, idle ones, and
// addresses with something beside their count.
func (c *Counter) Held() (conns, idle, networks int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns), c.idle.Len(), len(c.networks)
}
