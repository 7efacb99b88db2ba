package httpconn

import (
	"container/list"
	"net"
	"net/netip"

	"github.com/statuswire/statuswire/internal/limit"
)

// Conn is one connection. A nil one counts for nothing. Safe for concurrent use.
type Conn struct {
	counter *Counter

	// Guarded by Counter.mu.
	conn      net.Conn     // nil once it is taken over
	network   netip.Prefix // invalid for one that is nobody's
	counted   bool         // among Options.Addresses
	spare     bool         // above the limit of its address
	takenOver bool
	gone      bool

	idle, idleOfNetwork *list.Element // nil while it is busy
}

// Room says whether there is room for it among all. The Verdict is Refused for every
// connection while there are too many.
func (c *Conn) Room() limit.Verdict {
	if c == nil {
		return limit.Verdict{}
	}
	c.counter.mu.Lock()
	defer c.counter.mu.Unlock()
	return c.counter.roomLocked()
}

// CountsFor is true when it is counted for the address, or is now: one above the
// limit when it came is, if there is room meanwhile or an idle one gives way.
func (c *Conn) CountsFor(network netip.Prefix) bool {
	if c == nil {
		return false
	}
	c.counter.mu.Lock()
	var idle *Conn
	if c.spare && c.network == network {
		if idle, _ = c.countLocked(); c.counted {
			c.giveSpareLocked()
		}
	}
	counts := c.counted && c.network == network
	c.counter.mu.Unlock()
	idle.close()
	return counts
}

// Ended tells of the end of a connection that was taken over from the HTTP server.
// Of any other it changes nothing.
func (c *Conn) Ended() {
	if c == nil {
		return
	}
	c.counter.mu.Lock()
	defer c.counter.mu.Unlock()
	if c.takenOver {
		c.goneLocked()
	}
}

func (c *Conn) surplus() bool {
	if c == nil {
		return false
	}
	c.counter.mu.Lock()
	defer c.counter.mu.Unlock()
	return c.surplusLocked()
}

func (c *Conn) surplusLocked() bool { return c.spare || c.counter.roomLocked().Refused() }

// close closes one that has given way.
func (c *Conn) close() {
	if c != nil {
		_ = c.conn.Close()
	}
}

func (c *Conn) idleLocked() {
	if c.gone || c.idle != nil {
		return
	}
	c.idle = c.counter.idle.PushBack(c)
	if c.counted {
		c.idleOfNetwork = c.networkLocked().idle.PushBack(c)
	}
}

func (c *Conn) busyLocked() {
	if c.idle != nil {
		c.counter.idle.Remove(c.idle)
		c.idle = nil
	}
	if c.idleOfNetwork != nil {
		c.networkLocked().idle.Remove(c.idleOfNetwork)
		c.idleOfNetwork = nil
		c.forgetNetworkLocked()
	}
}

// countLocked counts it for its address, if there is room. The idle one that has
// given way for it, if any, is the caller's to close.
func (c *Conn) countLocked() (idle *Conn, v limit.Verdict) {
	v = c.counter.opts.Addresses.Take(c.network)
	if n := c.counter.networks[c.network]; v.Refused() && n != nil {
		if idle = oldest(n.idle); idle != nil {
			idle.goneLocked()
			v = c.counter.opts.Addresses.Take(c.network)
		}
	}
	c.counted = !v.Refused()
	return idle, v
}

// takeSpareLocked is false when its address has used up what it may have beyond its
// limit.
func (c *Conn) takeSpareLocked() bool {
	n := c.networkLocked()
	if n.spare >= SparePerAddress {
		return false
	}
	n.spare++
	c.spare = true
	return true
}

func (c *Conn) giveSpareLocked() {
	if c.spare {
		c.spare = false
		c.networkLocked().spare--
		c.forgetNetworkLocked()
	}
}

// takenOverLocked: who took it over has counted it for the address if it was above
// the limit there, and tells of its end.
func (c *Conn) takenOverLocked() {
	c.busyLocked()
	c.giveSpareLocked()
	c.takenOver = true
	delete(c.counter.conns, c.conn)
	c.conn = nil
}

// goneLocked gives everything back. Again it does nothing.
func (c *Conn) goneLocked() {
	if c.gone {
		return
	}
	c.gone = true
	c.busyLocked()
	c.giveSpareLocked()
	if c.counted {
		c.counted = false
		c.counter.opts.Addresses.Release(c.network)
	}
	c.counter.together--
	if !c.takenOver {
		delete(c.counter.conns, c.conn)
	}
}

func (c *Conn) networkLocked() *network {
	n := c.counter.networks[c.network]
	if n == nil {
		n = &network{idle: list.New()}
		c.counter.networks[c.network] = n
	}
	return n
}

func (c *Conn) forgetNetworkLocked() {
	if n := c.counter.networks[c.network]; n != nil && n.idle.Len() == 0 && n.spare == 0 {
		delete(c.counter.networks, c.network)
	}
}
