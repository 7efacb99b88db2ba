package gateway

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// socket is one browser's connection. Its goroutine (serve) reads and handles
// the input; messages are written by whoever delivers them.
type socket struct {
	gateway *Gateway
	id      uint64
	opened  time.Time
	conn    net.Conn
	in      *bufio.Reader
	remote  netip.AddrPort
	cookie  string // token from the cookie; "" for none
	place   *place // what it takes of the limits; its goroutine's alone
	out     *outbox
	parser  natsproto.Parser

	// Set by CONNECT, used by the socket's goroutine alone.
	connected bool
	connect   connectOptions
	flushDue  bool // a SUB went upstream since the last PING
	wsState   frameState

	variant uint8 // set by CONNECT, before there is any subscription

	mu         sync.Mutex // guards what follows
	credential *credential
	grant      *session.Grant
	subs       map[string]*localSub
	requests   int // forwarded, without an answer yet
	link       *keptLink
	closing    bool
	meter      *limit.Meter                  // nil before the login
	present    map[status.ConversationID]int // subscriptions in each conversation

	// Set at the login, before there is any subscription.
	changes *limit.ChangeMeter
	figures metrics.Connection // the socket's goroutine's

	ctx    context.Context // ends with the socket
	cancel context.CancelFunc
}

func newSocket(g *Gateway, conn net.Conn, in *bufio.Reader, remote netip.AddrPort, cookie string) *socket {
	s := &socket{
		gateway: g,
		id:      g.lastID.Add(1),
		opened:  time.Now(),
		conn:    conn,
		in:      in,
		remote:  remote,
		cookie:  cookie,
		subs:    map[string]*localSub{},
		present: map[status.ConversationID]int{},
		parser: natsproto.Parser{
			MaxControlLineBytes: g.opts.MaxControlLineBytes,
			MaxPayloadBytes:     g.opts.MaxPayloadBytes,
		},
	}
	s.ctx, s.cancel = context.WithCancel(g.ctx)
	s.out = newOutbox(conn, g.opts.MaxQueueBytes, g.opts.PingInterval+g.opts.PongTimeout, s.overflow)
	return s
}

// serve is the socket's life.
func (s *socket) serve() {
	s.figures = s.gateway.deps.Metrics.Connect(time.Now())
	s.out.frame(s.gateway.info)
	end := s.readAll()
	s.close(end)
	s.leave()
	s.linger()
	_ = s.conn.Close()
	s.cancel()
	s.figures.Close(time.Now())
	s.place.leave()
	s.gateway.remove(s)
}

// leave gives back all that the socket holds elsewhere.
func (s *socket) leave() {
	s.mu.Lock()
	subs := s.subs
	s.subs = map[string]*localSub{}
	cred, link := s.credential, s.link
	s.credential, s.link = nil, nil
	for c := range s.present {
		s.presentLocked(c, -s.present[c])
	}
	s.mu.Unlock()
	for _, sub := range subs {
		s.endSub(sub)
	}
	s.closeMeters(subs)
	if link != nil {
		link.close()
	}
	if cred != nil {
		cred.detach(s)
	}
	s.gateway.relay.forget(s)
}

// close sends the reason and ends the socket; the first reason counts. Safe
// from any goroutine; it does not wait.
func (s *socket) close(why closing) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.closing = true
	s.mu.Unlock()
	s.cancel()
	s.closed(why)

	var last []byte
	if why.err != "" {
		last = linesFrame(natsproto.AppendErr(nil, why.err))
	}
	last = appendFrame(last, ws.OpClose, ws.NewCloseFrameBody(why.code, why.reason))
	s.out.close(last)
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTime)) // wakes the reader
}

// lingerTime is how long a closed socket is still read, so that the browser
// gets the close frame: closing with input unread would reset the connection.
const lingerTime = time.Second

// linger waits, bounded, until the last frames are written and the browser has
// closed its side.
func (s *socket) linger() {
	deadline := time.Now().Add(lingerTime)
	select {
	case <-s.out.close(nil):
	case <-time.After(lingerTime):
		return
	}
	if tcp, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = tcp.CloseWrite()
	}
	_ = s.conn.SetReadDeadline(deadline)
	var scrap [512]byte
	for {
		if _, err := s.in.Read(scrap[:]); err != nil {
			return
		}
	}
}

// overflow ends a browser that reads too slowly. Its socket takes nothing any
// more, so there is nobody to tell: the connection is reset, and the kernel
// drops what it still holds for it.
func (s *socket) overflow() {
	s.gateway.slowCloses.Add(1)
	e := s.event(audit.KindSlow)
	e.Reason = closeSlow.reason
	s.gateway.deps.Audit.Record(e)
	s.gateway.opts.Logger.Warn("slow browser closed", "remote", s.remote, "reason", closeSlow.reason)
	s.abort()
}

// abort ends the socket without a word.
func (s *socket) abort() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.cancel()
	if tcp, ok := s.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = s.conn.Close()
}

// isClosing is true once the socket is about to end.
func (s *socket) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// send writes protocol lines.
func (s *socket) send(lines []byte) { s.out.frame(linesFrame(lines)) }

func (s *socket) sendErr(text string) { s.send(natsproto.AppendErr(nil, text)) }

// linesFrame wraps protocol lines in one binary frame, as NATS clients expect.
func linesFrame(lines []byte) []byte {
	return appendFrame(make([]byte, 0, len(lines)+maxFrameHeaderBytes), ws.OpBinary, lines)
}
