package httpconn

import (
	"cmp"
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/statuswire/statuswire/internal/limit"
)

// Defaults of Options, and what an address may have beyond its limit.
const (
	DefaultSpare    = 64
	SparePerAddress = 4
)

// Options of a Counter. The zero value of a field means its default.
type Options struct {
	// Addresses counts by address, together with what others count there.
	// Default: no address is counted.
	Addresses *limit.Counters[netip.Prefix]

	// Together is the limit on all. Default: none.
	Together limit.Rule

	// Spare is how many more than Together are taken, to be told so. Default 64.
	Spare int

	// Exempt is true for an address that counts only together with all: a proxy's.
	// Default: none is.
	Exempt func(netip.Addr) bool

	// OnHit hears of a limit at which a connection is closed, or would be in
	// dry-run. It must not block. Default: nobody hears.
	OnHit func(limit.Verdict, netip.AddrPort)
}

func (o Options) withDefaults() Options {
	if o.Addresses == nil {
		o.Addresses = limit.NewCounters[netip.Prefix](limit.ConnectionsPerAddress, limit.Rule{Value: limit.Unlimited})
	}
	o.Together.Value = cmp.Or(o.Together.Value, limit.Unlimited)
	o.Spare = cmp.Or(o.Spare, DefaultSpare)
	if o.Exempt == nil {
		o.Exempt = func(netip.Addr) bool { return false }
	}
	if o.OnHit == nil {
		o.OnHit = func(limit.Verdict, netip.AddrPort) {}
	}
	return o
}

// Counter counts the connections of an http.Server: its State, Context and Handler
// belong there. Safe for concurrent use.
type Counter struct {
	opts Options

	mu       sync.Mutex // guards what follows and the fields of every Conn
	conns    map[net.Conn]*Conn
	together int
	idle     *list.List // of *Conn, the one that is idle for longest in front
	networks map[netip.Prefix]*network
}

// network is what an address has beside its count.
type network struct {
	idle  *list.List // as Counter.idle
	spare int        // connections above the limit
}

// New returns a Counter that has counted nothing.
func New(opts Options) *Counter {
	return &Counter{
		opts:     opts.withDefaults(),
		conns:    map[net.Conn]*Conn{},
		idle:     list.New(),
		networks: map[netip.Prefix]*network{},
	}
}

type contextKey struct{}

// Context is http.Server.ConnContext.
func (c *Counter) Context(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return context.WithValue(ctx, contextKey{}, c.newLocked(conn))
}

// From is the connection of a request; nil where none is counted, which counts for
// nothing.
func From(ctx context.Context) *Conn {
	conn, _ := ctx.Value(contextKey{}).(*Conn)
	return conn
}

// newLocked is the connection's entry: Context and StateNew come in this order, and
// the first one makes it.
func (c *Counter) newLocked(conn net.Conn) *Conn {
	held := c.conns[conn]
	if held == nil {
		held = &Conn{counter: c, conn: conn}
		c.conns[conn] = held
		c.together++
	}
	return held
}

// State is http.Server.ConnState.
func (c *Counter) State(conn net.Conn, s http.ConnState) {
	if s == http.StateNew {
		c.arrive(conn)
		return
	}
	c.mu.Lock()
	held := c.conns[conn]
	if held == nil { // it has given way, and is closed
		c.mu.Unlock()
		return
	}
	surplus := false
	switch s {
	case http.StateActive:
		held.busyLocked()
	case http.StateIdle:
		if surplus = held.surplusLocked(); !surplus {
			held.idleLocked()
		}
	case http.StateHijacked:
		held.takenOverLocked()
	case http.StateClosed:
		held.goneLocked()
	}
	c.mu.Unlock()
	if surplus { // there is no room to wait for another request
		_ = conn.Close()
	}
}

// arrive counts a new connection, and makes room for it or closes it.
func (c *Counter) arrive(conn net.Conn) {
	var from netip.AddrPort
	if _, isLate := conn.(*late); !isLate {
		from = addrPort(conn.RemoteAddr())
	}
	c.mu.Lock()
	c.newLocked(conn)
	var idle *Conn
	v := c.roomLocked()
	if v.Hit() {
		if idle = oldest(c.idle); idle != nil {
			idle.goneLocked()
			v = c.roomLocked()
		}
	}
	over := v.Refused() && c.together > c.opts.Together.Value+c.opts.Spare
	c.mu.Unlock()

	idle.close()
	if v.Dry || over {
		c.opts.OnHit(v, from)
	}
	if over {
		_ = conn.Close()
		return
	}
	c.locate(conn, from)
}

// locate counts a connection for its address, and makes room for it there or closes
// it.
func (c *Counter) locate(conn net.Conn, from netip.AddrPort) {
	if !from.IsValid() || c.opts.Exempt(from.Addr()) {
		return
	}
	c.mu.Lock()
	held := c.conns[conn]
	if held == nil {
		c.mu.Unlock()
		return
	}
	held.network = limit.Network(from.Addr())
	idle, v := held.countLocked()
	over := v.Refused() && !held.takeSpareLocked()
	c.mu.Unlock()

	idle.close()
	if v.Dry || over {
		c.opts.OnHit(v, from)
	}
	if over {
		_ = conn.Close()
	}
}

// roomLocked says whether there are more than there may be together.
func (c *Counter) roomLocked() limit.Verdict {
	rule := c.opts.Together
	if rule.Value < 0 || c.together <= rule.Value {
		return limit.Verdict{}
	}
	return limit.Verdict{Name: limit.Connections, Limit: rule.Value, Used: c.together - 1, Wanted: 1, Dry: rule.DryRun}
}

// Handler has the answers of next end a connection that there is no room for.
func (c *Counter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if From(r.Context()).surplus() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Usage says how many connections there are together; the limit is negative for none.
func (c *Counter) Usage() limit.Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return limit.Usage{Name: limit.Connections, Limit: c.opts.Together.Value, Used: c.together, DryRun: c.opts.Together.DryRun}
}

func oldest(idle *list.List) *Conn {
	if e := idle.Front(); e != nil {
		return e.Value.(*Conn)
	}
	return nil
}

// addrPort is the address of a TCP connection's end; the zero value for another.
func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}
