package gateway

import (
	"cmp"
	"net"
	"net/netip"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/readbuf"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// webSocket is a socket that speaks the NATS client protocol over WebSocket.
type webSocket struct {
	socket
	in     *readbuf.Reader
	cookie string // token from the cookie; "" for none
	parser natsproto.Parser

	// Used by the socket's goroutine alone.
	connected bool // set by CONNECT
	flushDue  bool // a SUB went upstream since the last PING
	frames    frameState
}

func newWebSocket(g *Gateway, conn net.Conn, in *readbuf.Reader, remote netip.AddrPort, cookie string) *webSocket {
	s := &webSocket{
		in:     in,
		cookie: cookie,
		parser: natsproto.Parser{
			MaxControlLineBytes: g.opts.MaxControlLineBytes,
			MaxPayloadBytes:     g.opts.MaxPayloadBytes,
			TokenSubject:        status.GatewayToken,
			MaxTokenBytes:       g.opts.maxPublishBytes(),
			ConnectOnly:         true,
		},
	}
	s.socket.init(g, conn, s)
	s.remote, s.closeWait = remote, lingerTime
	return s
}

// run implements dialect.
func (s *webSocket) run() *refusal.Closing {
	s.out.Put(s.gateway.info)
	err := s.readAll()
	s.endResumption()
	return s.ending(err)
}

// rest implements dialect.
func (s *webSocket) rest(scrap []byte) (int, error) { return s.in.Read(scrap) }

// last implements dialect: a last -ERR, if there is one, and the close frame.
func (s *webSocket) last(why refusal.Closing) []byte {
	var b []byte
	if why.Err != "" {
		b = linesFrame(natsproto.AppendErr(nil, why.Err))
	}
	return appendFrame(b, ws.OpClose, ws.NewCloseFrameBody(why.Code, why.Reason))
}

// told implements dialect.
func (s *webSocket) told(why refusal.Closing) (reason string, code int) {
	return cmp.Or(why.Err, why.Reason), int(why.Code)
}

// subEnded implements dialect: the rest goes on.
func (s *webSocket) subEnded(sub *localSub, r refusal.Refusal) {
	s.sendErr(refusal.SubText(sub.subject, sub.queue, r.Reason))
}

// send writes protocol lines.
func (s *webSocket) send(lines []byte) { s.out.Put(linesFrame(lines)) }

func (s *webSocket) sendErr(text string) { s.send(natsproto.AppendErr(nil, text)) }
