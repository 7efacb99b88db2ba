package app

import (
	"net"
	"net/http"
	"sync"
)

// newcomers are the HTTP connections whose first request has not come whole.
// http.Server.Shutdown waits for each until it is five seconds old, with all
// browsers waiting behind it for their own end; there is nothing to wait for.
type newcomers struct {
	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]struct{}
	closed bool
}

func newNewcomers() *newcomers { return &newcomers{conns: map[net.Conn]struct{}{}} }

// state is http.Server.ConnState.
func (n *newcomers) state(conn net.Conn, s http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case s != http.StateNew:
		delete(n.conns, conn)
	case n.closed:
		_ = conn.Close()
	default:
		n.conns[conn] = struct{}{}
	}
}

// close closes them, those too that the listener has taken and not told of yet.
func (n *newcomers) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for conn := range n.conns {
		_ = conn.Close()
	}
}
