package gateway

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/readbuf"
)

// ReadFrames reads the pieces as one socket's input, up to CONNECT, and says how
// the socket ends.
func ReadFrames(pieces ...[]byte) (err string, code uint16, reason string) {
	g := &Gateway{opts: Options{}.withDefaults()}
	g.opts.Limits.Frames.Value = limit.Unlimited // it is by the clock, and the same input is to have the same end
	g.ctx, g.cancel = context.WithCancel(context.Background())
	defer g.cancel()
	conn := &deafConn{pieces: pieces}
	s := newWebSocket(g, conn, readbuf.New(nil, conn), netip.AddrPort{}, "")
	end := s.ending(s.readAll())
	return end.Err, uint16(end.Code), end.Reason
}

// ValidText feeds a text in pieces; it says how many bytes can be UTF-8, and whether
// all of it is.
func ValidText(pieces ...[]byte) (n int, whole bool) {
	var s textState
	for _, piece := range pieces {
		valid := s.valid(piece)
		n += valid
		if valid < len(piece) {
			return n, false
		}
	}
	return n, s.missing == 0
}

// deafConn gives its pieces one after the other and takes whatever is written.
type deafConn struct {
	net.Conn
	pieces [][]byte
}

func (c *deafConn) Read(p []byte) (int, error) {
	for len(c.pieces) > 0 {
		n := copy(p, c.pieces[0])
		c.pieces[0] = c.pieces[0][n:]
		if len(c.pieces[0]) == 0 {
			c.pieces = c.pieces[1:]
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

func (c *deafConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *deafConn) Close() error                     { return nil }
func (c *deafConn) SetReadDeadline(time.Time) error  { return nil }
func (c *deafConn) SetWriteDeadline(time.Time) error { return nil }
