package gateway

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/link"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/outbox"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// socket is one browser's connection: what it may do, what it holds, and what
// goes out. What it speaks is its dialect. Its goroutine (serve) reads and handles
// the input; messages are written by whoever delivers them.
type socket struct {
	// What a delivery needs stands in front, see Outbox.
	//
	// filter is the grant if that denies a part of what it allows, else nil.
	filter atomic.Pointer[session.Grant]
	out    outbox.Outbox

	gateway *Gateway
	dialect dialect
	id      uint64
	opened  time.Time
	conn    net.Conn
	remote  netip.AddrPort
	place   *place // what it takes of the limits; its goroutine's alone
	// closeWait is how long the browser has to say something to the last words.
	closeWait time.Duration
	rtt       atomic.Int64 // nanoseconds from the last ping that was answered to its pong; 0 for none

	connect connectOptions // set by the login
	variant uint8          // set by the login, before there is any subscription

	mu         sync.Mutex // guards what follows
	credential *credential
	grant      *session.Grant
	subs       map[string]*localSub
	requests   int                           // forwarded, without an answer yet
	asking     map[status.ConversationID]int // those requests, by conversation; nil before the first
	link       *link.Kept                    // nil unless links are kept
	closing    bool
	meter      *limit.Meter                  // nil before the login
	present    map[status.ConversationID]int // subscriptions in each conversation
	resumption *resumption                   // set by the login; nil when the socket is not resumable

	// Set at the login, before there is any subscription.
	changes *limit.ChangeMeter
	figures metrics.Connection // the socket's goroutine's

	farewell sync.WaitGroup // counts whoever closes until the last bytes are handed over

	ctx    context.Context // ends with the socket
	cancel context.CancelFunc
}

// dialect is what a socket speaks with its browser. Only run and rest belong to
// the socket's goroutine.
type dialect interface {
	// run begins, handles the browser's side until that ends, and says why.
	run() *refusal.Closing
	// rest reads what the browser sends although all is said.
	rest(scrap []byte) (int, error)
	// last is what is written last when the socket ends.
	last(why refusal.Closing) []byte
	// told is what last says, in words and as a number, for the audit.
	told(why refusal.Closing) (reason string, code int)
	// subEnded tells that a subscription has ended by itself.
	subEnded(sub *localSub, r refusal.Refusal)
}

// init makes s, the first part of its dialect, ready to serve.
func (s *socket) init(g *Gateway, conn net.Conn, d dialect) {
	s.gateway, s.dialect, s.conn = g, d, conn
	s.id, s.opened = g.lastID.Add(1), time.Now()
	s.subs, s.present = map[string]*localSub{}, map[status.ConversationID]int{}
	s.ctx, s.cancel = context.WithCancel(g.ctx)
	bounds := outbox.Bounds{MaxBytes: g.opts.MaxQueueBytes, Stall: g.opts.PingInterval + g.opts.PongTimeout}
	s.out.Init(conn, bounds, (*outboxOwner)(s))
}

// serve is the socket's life.
func (s *socket) serve() {
	s.begin()
	s.end(s.dialect.run())
}

func (s *socket) begin() { s.figures = s.gateway.deps.Metrics.Connect(time.Now()) }

func (s *socket) end(why *refusal.Closing) {
	s.place.logOut() // before the last words: who has them may come again at once
	s.close(*why)
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
	for _, sub := range subs {
		s.usedLocked(sub)
	}
	cred, kept := s.credential, s.link
	s.credential, s.link = nil, nil
	for c := range s.present {
		s.presentLocked(c, -s.present[c])
	}
	s.mu.Unlock()
	for _, sub := range subs {
		s.endSub(sub)
	}
	s.closeMeters(subs)
	if kept != nil {
		kept.Close()
	}
	if cred != nil {
		cred.detach(s)
	}
	s.gateway.relay.Forget(s)
}

// close sends the reason and ends the socket; the first reason counts. Safe
// from any goroutine; it does not wait.
func (s *socket) close(why refusal.Closing) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.closing = true
	s.farewell.Add(1)
	s.mu.Unlock()
	defer s.farewell.Done()
	s.cancel()
	s.closed(why)

	s.out.Close(s.dialect.last(why))
	_ = s.conn.SetReadDeadline(time.Now().Add(s.closeWait)) // wakes the reader
}

// lingerTime is how long a closed socket is still read, so that the browser
// gets the close frame: closing with input unread would reset the connection.
const lingerTime = time.Second

// linger waits, bounded, until the last frames are written and the browser has
// closed its side.
func (s *socket) linger() {
	s.farewell.Wait()
	deadline := time.Now().Add(lingerTime)
	select {
	case <-s.out.Close(nil):
	case <-time.After(lingerTime):
		return
	}
	if tcp, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = tcp.CloseWrite()
	}
	_ = s.conn.SetReadDeadline(deadline)
	var scrap [512]byte
	for {
		if _, err := s.dialect.rest(scrap[:]); err != nil {
			return
		}
	}
}

// outboxOwner is the socket as its outbox knows it.
type outboxOwner socket

// Overflow implements outbox.Owner.
func (o *outboxOwner) Overflow() { (*socket)(o).overflow() }

// Shed implements outbox.Owner.
func (o *outboxOwner) Shed() { o.gateway.shed.Add(1) }

// overflow ends a browser that reads too slowly. Its socket takes nothing any
// more, so there is nobody to tell: the connection is reset, and the kernel
// drops what it still holds for it.
func (s *socket) overflow() {
	s.gateway.slowCloses.Add(1)
	e := s.event(audit.KindSlow)
	e.Reason = refusal.CloseSlow().Reason
	s.gateway.deps.Audit.Record(e)
	s.gateway.opts.Logger.Warn("slow browser closed", "remote", s.remote, "reason", refusal.CloseSlow().Reason)
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

// Outbox implements relay.Asker.
func (s *socket) Outbox() *outbox.Outbox { return &s.out }

// Context ends with the socket.
func (s *socket) Context() context.Context { return s.ctx }
