package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Directory says who may see a conversation.
type Directory interface {
	// Admits is true when the user may see the conversation, false when not or
	// when there is none; an error when that cannot be said just now.
	Admits(ctx context.Context, c status.ConversationID, u status.UserID) (bool, error)
	// Categories are the categories that the conversation has now.
	Categories(ctx context.Context, c status.ConversationID) ([]status.Category, error)
}

// Screen looks at a token before a verdict is asked for.
type Screen interface {
	// Screen returns the proof that the token is good, or the denial that a login with
	// it would get whatever it asks for. It gives up when ctx ends.
	Screen(ctx context.Context, token string) (session.Proof, *session.Denial)
}

// Presence hears who has a subscription in which conversation. It does not wait.
type Presence interface {
	Join(c status.ConversationID, u status.UserID, connection uint64)
	Leave(c status.ConversationID, u status.UserID, connection uint64)
}

// Deps are the parts that a gateway works with.
type Deps struct {
	// Verdicts decide about logins. With Options.KeepLinks Links do, else nil.
	Verdicts  Verdicts
	Links     Links
	Directory Directory
	Fanout    *fanout.Fanout
	// Requests is the gateway's own connection, on which it forwards requests.
	Requests *nats.Conn
	// Screen may be nil: then a verdict is asked for each token, and an address that
	// has failed too often has to wait with all its tokens.
	Screen Screen
	// Marks may be nil: then no connection is resumable.
	Marks *mark.Store
	// Presence, Audit and Metrics may be nil: then nobody hears.
	Presence Presence
	Audit    *audit.Recorder
	Metrics  *metrics.Metrics
}

// Stats counts what a gateway holds now, and what it did since it was made.
type Stats struct {
	Sockets     int    // open sockets
	Credentials int    // tokens whose grant is held
	IdleGrants  int    // of them, those without a socket
	IdleBytes   int    // that these take
	Verdicts    uint64 // verdicts asked for
	SlowCloses  uint64 // sockets closed because they read too slowly
	Shed        uint64 // statuses of low priority left out because a browser was slow
	Sheltered   int    // bytes that wait for slow browsers
	Resumed     uint64 // subscriptions that went on where an earlier connection was
}

// Gateway is an http.Handler for WebSocket upgrades. Safe for concurrent use.
type Gateway struct {
	deps    Deps
	opts    Options
	origins []originPattern
	info    []byte // the INFO that every browser gets, framed

	verdictSlots chan struct{} // holds a value for each verdict that is waited for
	admission    *admission

	connections *httpconn.Counter

	forwardedOnce sync.Once // guards a warning

	changes      *limit.Changes                // subscription changes of each user
	grantChanges *limit.Windows[status.UserID] // login decisions that each user causes

	relay    *relay.Relay
	places   *eventPlaces
	reviews  *reviews
	receipts *receipts

	mu          sync.Mutex // guards what follows
	sockets     map[*socket]struct{}
	credentials map[credentialKey]*credential
	idle        *idleGrants
	stopping    bool

	ctx     context.Context // ends when Stop gives up waiting
	cancel  context.CancelFunc
	running sync.WaitGroup // one for each socket and kept link

	lastID     atomic.Uint64
	verdicts   atomic.Uint64
	slowCloses atomic.Uint64
	shed       atomic.Uint64
	resumed    atomic.Uint64
}

// New makes a gateway. It starts nothing.
func New(deps Deps, opts Options) (*Gateway, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("gateway options: %w", err)
	}
	g := &Gateway{
		deps:        deps,
		opts:        opts.withDefaults(),
		sockets:     map[*socket]struct{}{},
		credentials: map[credentialKey]*credential{},
		changes:     limit.NewChanges(),
	}
	g.grantChanges = limit.NewWindows[status.UserID](limit.GrantChanges, g.opts.Limits.GrantChanges, limit.GrantChangesPeriod)
	g.idle = newIdleGrants(g.opts.Idle)
	g.verdictSlots = make(chan struct{}, g.opts.MaxVerdicts)
	g.admission = newAdmission(g.opts.Limits)
	g.admission.onHit = g.limitedConnection
	g.connections = httpconn.New(httpconn.Options{
		Addresses: g.admission.addresses,
		Together:  g.opts.Limits.Connections,
		Spare:     g.opts.SpareConnections,
		Exempt:    g.trusts,
		OnHit: func(v limit.Verdict, from netip.AddrPort) {
			g.limitedConnection(v, &place{from: from}, "")
		},
	})
	for _, p := range g.opts.AllowedOrigins {
		pattern, err := parseOriginPattern(p)
		if err != nil {
			return nil, err
		}
		g.origins = append(g.origins, pattern)
	}
	info, err := json.Marshal(serverInfo{
		ServerID:     "statuswire",
		ServerName:   "statuswire",
		Version:      protocolVersion,
		Proto:        1,
		Headers:      true,
		MaxPayload:   g.opts.maxPublishBytes(),
		AuthRequired: true,
	})
	if err != nil {
		return nil, err
	}
	g.info = linesFrame(natsproto.AppendInfo(nil, info))
	g.places = newEventPlaces()
	g.relay = relay.New(deps.Requests, g.opts.RequestTimeout, g.opts.Logger)
	g.reviews = newReviews(g)
	g.receipts = newReceipts(g.opts.ReceiptInterval)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g, nil
}

// protocolVersion is the version of the NATS protocol that clients find in
// INFO; they look there for what a server can do.
const protocolVersion = "2.15.2"

// serverInfo is the INFO of the gateway: nothing of the server inside leaks.
type serverInfo struct {
	ServerID     string `json:"server_id"`
	ServerName   string `json:"server_name"`
	Version      string `json:"version"`
	Proto        int    `json:"proto"`
	Headers      bool   `json:"headers"`
	MaxPayload   int    `json:"max_payload"`
	AuthRequired bool   `json:"auth_required"`
}

// Start begins to serve; before it, upgrades are refused.
func (g *Gateway) Start(context.Context) error {
	if err := g.relay.Start(); err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	g.running.Go(g.reviews.run)
	g.running.Go(g.receipts.run)
	return nil
}

// Stop refuses new sockets, closes the open ones over Options.CloseSpread, and
// returns when all have ended or ctx has. Stopping twice, or without Start, is fine.
func (g *Gateway) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.stopping = true
	open := make([]*socket, 0, len(g.sockets))
	for s := range g.sockets {
		open = append(open, s)
	}
	g.mu.Unlock()

	g.closeSpread(ctx, open)
	g.reviews.stop()
	g.receipts.stop()
	done := make(chan struct{})
	go func() { g.running.Wait(); close(done) }()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("stop the gateway: %d sockets are still open: %w", g.Stats().Sockets, ctx.Err())
		for _, s := range open {
			s.abort()
		}
		g.cancel()
		<-done
	}
	g.cancel()
	g.forgetCredentials()
	return errors.Join(err, g.relay.Stop())
}

// closeSpread tells every socket to go, a few at a time.
func (g *Gateway) closeSpread(ctx context.Context, open []*socket) {
	const steps = 20
	pause := g.opts.CloseSpread / steps
	for i, s := range open {
		s.close(refusal.CloseStopping())
		if i%(len(open)/steps+1) != 0 || i == len(open)-1 {
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			pause = 0
		}
	}
}

// Connections counts the connections of the HTTP server that the gateway is behind,
// whose hooks are its.
func (g *Gateway) Connections() *httpconn.Counter { return g.connections }

// Stats returns the counts of now.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	st := Stats{
		Sockets:     len(g.sockets),
		Credentials: len(g.credentials),
		IdleGrants:  g.idle.order.Len(),
		IdleBytes:   g.idle.bytes,
		Verdicts:    g.verdicts.Load(),
		SlowCloses:  g.slowCloses.Load(),
		Shed:        g.shed.Load(),
		Resumed:     g.resumed.Load(),
	}
	for s := range g.sockets {
		st.Sheltered += s.out.Backlog()
	}
	return st
}

// add is false when the gateway is not serving.
func (g *Gateway) add(s *socket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return false
	}
	g.sockets[s] = struct{}{}
	return true
}

func (g *Gateway) remove(s *socket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sockets, s)
}

func (g *Gateway) isStopping() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopping
}

var _ http.Handler = (*Gateway)(nil)
