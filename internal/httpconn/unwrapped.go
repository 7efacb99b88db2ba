package httpconn

import "net"

// Unwrapped is the TCP connection in a listener's wrapper, one that has read a
// PROXY header: what is sent is written straight to a TCP connection. Reading goes on
// through the wrapper, which may have read on.
func Unwrapped(conn net.Conn) net.Conn {
	if w, ok := conn.(interface{ TCPConn() (*net.TCPConn, bool) }); ok {
		if tcp, ok := w.TCPConn(); ok {
			return tcp
		}
	}
	return conn
}
