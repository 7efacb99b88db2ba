package httpconn

import (
	"net"
	"sync"
)

// late is a connection that counts for its address from its first Read on.
type late struct {
	net.Conn
	counter *Counter
	once    sync.Once
}

// Late wraps a connection whose RemoteAddr waits until the far end has said it, in a
// PROXY header, which would hold up the listener. The HTTP server must get what is
// returned.
func (c *Counter) Late(conn net.Conn) net.Conn { return &late{Conn: conn, counter: c} }

func (l *late) Read(b []byte) (int, error) {
	l.once.Do(func() { l.counter.locate(l, addrPort(l.RemoteAddr())) })
	return l.Conn.Read(b)
}

// TCPConn is the TCP connection below, as the wrapper that reads the header tells it.
func (l *late) TCPConn() (*net.TCPConn, bool) {
	if below, ok := l.Conn.(interface{ TCPConn() (*net.TCPConn, bool) }); ok {
		return below.TCPConn()
	}
	tcp, ok := l.Conn.(*net.TCPConn)
	return tcp, ok
}
