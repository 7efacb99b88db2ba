//go:build e2e

package test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// network is what lies between clients and server: a TCP listener that takes each
// connection on to the server, wherever that is just now, and can be broken
// in the ways that networks break.
type network struct {
	listener *net.TCPListener

	mu     sync.Mutex // guards what follows
	target string     // of the server; "" while there is none
	links  []*link    // in the order of their connections
	closed bool
	opened int // connections so far
	group  sync.WaitGroup
}

// link is one connection through the network.
type link struct {
	client, server *net.TCPConn
	gate           gate
	end            sync.Once
}

// gate holds what flows. A gate that is shut for good loses everything, the ends
// of connections included: that is how a network dies without a FIN.
type gate struct {
	mu   sync.Mutex // guards what follows
	cond *sync.Cond
	shut time.Time // until then
	dead bool      // for good
	gone bool      // nobody needs it any more
}

func startNetwork(t testing.TB) *network {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &network{listener: l}
	n.group.Go(n.accept)
	t.Cleanup(n.close)
	return n
}

func (n *network) address() string { return n.listener.Addr().String() }

// setTarget says where the server is; "" refuses connections.
func (n *network) setTarget(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.target = address
}

func (n *network) accept() {
	for {
		client, err := n.listener.AcceptTCP()
		if err != nil {
			return
		}
		n.group.Go(func() { n.carry(client) })
	}
}

func (n *network) carry(client *net.TCPConn) {
	n.mu.Lock()
	target := n.target
	n.opened++
	n.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, server: server.(*net.TCPConn)}
	l.gate.cond = sync.NewCond(&l.gate.mu)
	if !n.add(l) {
		l.cut()
		return
	}
	defer n.remove(l)
	var both sync.WaitGroup
	both.Go(func() { l.flow(l.server, l.client) })
	both.Go(func() { l.flow(l.client, l.server) })
	both.Wait()
	l.client.Close()
	l.server.Close()
}

func (n *network) add(l *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.links = append(n.links, l)
	return true
}

func (n *network) remove(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = slices.DeleteFunc(n.links, func(other *link) bool { return other == l })
}

// flow takes what comes from one side to the other, its end included.
func (l *link) flow(to, from *net.TCPConn) {
	buf := make([]byte, 16<<10)
	for {
		count, err := from.Read(buf)
		if !l.gate.pass() {
			return
		}
		if _, werr := to.Write(buf[:count]); werr != nil {
			l.cut()
			return
		}
		if errors.Is(err, io.EOF) {
			to.CloseWrite()
			return
		}
		if err != nil {
			l.cut()
			return
		}
	}
}

// pass waits until the gate is open. It is false when the link has ended.
func (g *gate) pass() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.gone && (g.dead || time.Now().Before(g.shut)) {
		g.cond.Wait()
	}
	return !g.gone
}

// The ways to break a link.

// cut ends it on both sides at once, as a proxy that crashes does.
func (l *link) cut() { l.finish(func() { reset(l.client); reset(l.server) }) }

// silence loses everything from now on, and tells neither side.
func (l *link) silence() {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	l.gate.dead = true
}

// loseServer ends the server's side; the client is left with a connection that
// nobody answers on. loseClient is the other half.
func (l *link) loseServer() { l.silence(); reset(l.server) }
func (l *link) loseClient() { l.silence(); reset(l.client) }

// stall holds everything back for a while.
func (l *link) stall(d time.Duration) {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	l.gate.shut = time.Now().Add(d)
	time.AfterFunc(d, func() { l.gate.cond.Broadcast() })
}

func (l *link) finish(end func()) {
	l.end.Do(func() {
		end()
		l.gate.mu.Lock()
		defer l.gate.mu.Unlock()
		l.gate.gone = true
		l.gate.cond.Broadcast()
	})
}

func reset(c *net.TCPConn) {
	c.SetLinger(0) // an error means that it has ended
	c.Close()
}

// pick returns a link that still carries something; nil when there is none.
func (n *network) pick(random *rand.Rand) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	sound := slices.DeleteFunc(slices.Clone(n.links), func(l *link) bool { return !l.sound() })
	if len(sound) == 0 {
		return nil
	}
	return sound[random.IntN(len(sound))]
}

func (l *link) sound() bool {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	return !l.gate.dead && !l.gate.gone && !time.Now().Before(l.gate.shut)
}

// heal ends every stall; what is dead stays dead.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		l.gate.mu.Lock()
		l.gate.shut = time.Time{}
		l.gate.cond.Broadcast()
		l.gate.mu.Unlock()
	}
}

func (n *network) close() {
	n.listener.Close()
	n.mu.Lock()
	n.closed = true
	links := slices.Clone(n.links)
	n.mu.Unlock()
	for _, l := range links {
		l.cut()
	}
	n.group.Wait()
}
