package browser

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/outbox"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Browser is one browser's connection: what it may do, what it holds, and what
// goes out. It is the first part of its dialect's type, which calls Init. Its goroutine
// (serve) reads and handles the input; messages are written by whoever delivers them.
type Browser struct {
	// What a delivery needs stands in front, see Outbox.
	//
	// filter is the grant if that denies a part of what it allows, else nil.
	filter atomic.Pointer[session.Grant]
	out    outbox.Outbox

	hub     *Hub
	dialect Dialect
	id      uint64
	opened  time.Time
	conn    net.Conn
	remote  netip.AddrPort
	place   Place        // its goroutine's alone
	rtt     atomic.Int64 // nanoseconds from the last ping that was answered to its pong; 0 for none

	mu         sync.Mutex // guards what follows
	credential *access.Credential
	grant      *session.Grant
	login      session.Login                 // as it has logged in
	subs       map[string]*Subscription      // by sid
	requests   int                           // forwarded, without an answer yet
	asking     map[status.ConversationID]int // those requests, by conversation; nil before the first
	closing    bool
	meter      *limit.Meter                  // nil before the login
	present    map[status.ConversationID]int // subscriptions in each conversation
	resumption *resumption                   // set by the login; nil when it is not resumable

	// Set at the login, before there is any subscription.
	changes *limit.ChangeMeter
	figures metrics.Connection // the browser's goroutine's

	farewell sync.WaitGroup // counts whoever closes until the last bytes are handed over

	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
}

// Dialect is what is spoken with a browser. Only Run and Rest belong to the browser's
// goroutine.
type Dialect interface {
	// Run begins, handles the browser's side until that ends, and says why.
	Run() *refusal.Closing
	// Rest reads what the browser sends although all is said.
	Rest(scrap []byte) (int, error)
	// Last is what is written last when the connection ends. Then the browser has
	// LastWait to say something to it.
	Last(why refusal.Closing) []byte
	LastWait() time.Duration
	// Told is what Last says, in words and as a number, for the audit.
	Told(why refusal.Closing) (reason string, code int)
	// SubEnded tells that a subscription has ended by itself.
	SubEnded(sub *Subscription, r refusal.Refusal)
}

// Place is what a connection takes of the limits of its address and its user.
type Place interface {
	access.Tries
	// LoggedIn asks for one more connection of the user.
	LoggedIn(u status.UserID) limit.Verdict
	// LogOut gives back what the user has taken, Leave all.
	LogOut()
	Leave()
}

// Init makes the zero value ready for Hub.Serve.
func (b *Browser) Init(h *Hub, conn net.Conn, remote netip.AddrPort, place Place, d Dialect) {
	b.hub, b.conn, b.remote, b.place, b.dialect = h, conn, remote, place, d
	b.id, b.opened = h.lastID.Add(1), time.Now()
	b.subs, b.present = map[string]*Subscription{}, map[status.ConversationID]int{}
	b.ctx, b.cancel = context.WithCancel(h.ctx)
	b.out.Init(conn, outbox.Bounds{MaxBytes: h.opts.MaxQueueBytes, Stall: h.opts.Stall}, (*outboxOwner)(b))
}

// serve is the browser's life.
func (b *Browser) serve() {
	b.begin()
	b.end(b.dialect.Run())
}

func (b *Browser) begin() { b.figures = b.hub.deps.Metrics.Connect(time.Now()) }

func (b *Browser) end(why *refusal.Closing) {
	b.place.LogOut() // before the last words: who has them may come again at once
	b.Close(*why)
	b.leave()
	b.linger()
	_ = b.conn.Close()
	b.cancel()
	b.figures.Close(time.Now())
	b.place.Leave()
	b.hub.remove(b)
}

// leave gives back all that the browser holds elsewhere.
func (b *Browser) leave() {
	b.mu.Lock()
	subs := b.subs
	b.subs = map[string]*Subscription{}
	for _, sub := range subs {
		b.usedLocked(sub.conversation)
	}
	cred := b.credential
	b.credential = nil
	for c := range b.present {
		b.presentLocked(c, -b.present[c])
	}
	b.mu.Unlock()
	for _, sub := range subs {
		b.endSub(sub)
	}
	b.closeMeters(subs)
	if cred != nil {
		cred.Detach(b)
	}
	b.hub.deps.Relay.Forget(b)
}

// Close implements access.Browser: it sends the reason and ends the connection; the first
// reason counts. Safe from any goroutine; it does not wait.
func (b *Browser) Close(why refusal.Closing) {
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		return
	}
	b.closing = true
	b.farewell.Add(1)
	b.mu.Unlock()
	defer b.farewell.Done()
	b.cancel()
	b.closed(why)

	b.out.Close(b.dialect.Last(why))
	_ = b.conn.SetReadDeadline(time.Now().Add(b.dialect.LastWait())) // wakes the reader
}

// LingerTime is how long a closed connection is still read, so that the browser
// gets the close frame: closing with input unread would reset the connection.
const LingerTime = time.Second

// linger waits, bounded, until the last frames are written and the browser has
// closed its side.
func (b *Browser) linger() {
	b.farewell.Wait()
	deadline := time.Now().Add(LingerTime)
	select {
	case <-b.out.Close(nil):
	case <-time.After(LingerTime):
		return
	}
	if tcp, ok := b.conn.(interface{ CloseWrite() error }); ok {
		_ = tcp.CloseWrite()
	}
	_ = b.conn.SetReadDeadline(deadline)
	var scrap [512]byte
	for {
		if _, err := b.dialect.Rest(scrap[:]); err != nil {
			return
		}
	}
}

// outboxOwner is the browser as its outbox knows it.
type outboxOwner Browser

// Overflow implements outbox.Owner.
func (o *outboxOwner) Overflow() { (*Browser)(o).overflow() }

// Shed implements outbox.Owner.
func (o *outboxOwner) Shed() { o.hub.shed.Add(1) }

// overflow ends a browser that reads too slowly. Its socket takes nothing any
// more, so there is nobody to tell: the connection is reset, and the kernel
// drops what it still holds for it.
func (b *Browser) overflow() {
	b.hub.slowCloses.Add(1)
	e := b.event(audit.KindSlow)
	e.Reason = refusal.CloseSlow().Reason
	b.hub.deps.Audit.Record(e)
	b.hub.opts.Logger.Warn("slow browser closed", "remote", b.remote, "reason", refusal.CloseSlow().Reason)
	b.abort()
}

// abort ends the connection without a word.
func (b *Browser) abort() {
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	b.cancel()
	if tcp, ok := b.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = b.conn.Close()
}

// IsClosing is true once the connection is about to end.
func (b *Browser) IsClosing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closing
}

// Outbox implements relay.Asker.
func (b *Browser) Outbox() *outbox.Outbox { return &b.out }

// Context implements access.Browser and relay.Asker.
func (b *Browser) Context() context.Context { return b.ctx }

// ID is unique among the connections that the node has had.
func (b *Browser) ID() uint64 { return b.id }

// Remote is where it comes from.
func (b *Browser) Remote() netip.AddrPort { return b.remote }

// Conn is the connection, to read from: what is written goes to the outbox.
func (b *Browser) Conn() net.Conn { return b.conn }

// Answered notes how long the browser took to answer a ping.
func (b *Browser) Answered(rtt time.Duration) { b.rtt.Store(int64(max(1, rtt))) }

// Grant is the one in force; nil before the login.
func (b *Browser) Grant() *session.Grant {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.grant
}

func (b *Browser) credentialOf() *access.Credential {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.credential
}
