package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/browser"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsocket"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/internal/sse"
	"github.com/statuswire/statuswire/status"
)

// Deps are the parts that a gateway works with.
type Deps struct {
	// Verdicts decide about logins. With Options.KeepLinks Links do, else nil.
	Verdicts  access.Verdicts
	Links     access.Links
	Directory access.Directory
	Fanout    *fanout.Fanout
	// Requests is the gateway's own connection, on which it forwards requests.
	Requests *nats.Conn
	// Screen may be nil: then a verdict is asked for each token, and an address that
	// has failed too often has to wait with all its tokens.
	Screen access.Screen
	// Marks may be nil: then no connection is resumable.
	Marks *mark.Store
	// Presence, Audit and Metrics may be nil: then nobody hears.
	Presence browser.Presence
	Audit    *audit.Recorder
	Metrics  *metrics.Metrics
}

// Stats counts what a gateway holds now, and what it did since it was made.
type Stats struct {
	access.Stats
	Sockets    int    // connections that are open
	SlowCloses uint64 // of them closed because they read too slowly
	Shed       uint64 // statuses of low priority left out because a browser was slow
	Sheltered  int    // bytes that wait for slow browsers
	Resumed    uint64 // subscriptions that went on where an earlier connection was
}

// Gateway is an http.Handler for WebSocket upgrades. Safe for concurrent use.
type Gateway struct {
	deps    Deps
	opts    Options
	origins []originPattern

	admission   *admission
	connections *httpconn.Counter

	access   *access.Access
	relay    *relay.Relay
	browsers *browser.Hub
	sockets  *natsocket.Endpoint
	streams  *sse.Endpoint

	forwardedOnce sync.Once // guards a warning
}

// New makes a gateway. It starts nothing.
func New(deps Deps, opts Options) (*Gateway, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("gateway options: %w", err)
	}
	g := &Gateway{deps: deps, opts: opts.withDefaults()}
	for _, p := range g.opts.AllowedOrigins {
		pattern, err := parseOriginPattern(p)
		if err != nil {
			return nil, err
		}
		g.origins = append(g.origins, pattern)
	}
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
	g.access = access.New(access.Deps{
		Verdicts: deps.Verdicts, Links: deps.Links, Directory: deps.Directory, Screen: deps.Screen,
	}, g.opts.access())
	g.relay = relay.New(deps.Requests, g.opts.RequestTimeout, g.opts.Logger)
	g.browsers = browser.NewHub(browser.Deps{
		Access: g.access, Fanout: deps.Fanout, Relay: g.relay, Marks: deps.Marks,
		Presence: deps.Presence, Audit: deps.Audit, Metrics: deps.Metrics,
	}, g.opts.browsers())
	g.streams = sse.New(g.browsers, deps.Fanout, g.opts.streams())
	var err error
	g.sockets, err = natsocket.New(g.browsers, g.opts.sockets())
	return g, err
}

// Start begins to serve; before it, upgrades are refused.
func (g *Gateway) Start(context.Context) error {
	if err := g.relay.Start(); err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	g.access.Start()
	g.browsers.Start()
	return nil
}

// Stop refuses new browsers, closes the open ones over Options.CloseSpread, and
// returns when all have ended or ctx has. Stopping twice, or without Start, is fine.
func (g *Gateway) Stop(ctx context.Context) error {
	err := g.browsers.Stop(ctx)
	if err != nil {
		err = fmt.Errorf("stop the gateway: %w", err)
	}
	g.access.Stop(ctx)
	return errors.Join(err, g.relay.Stop())
}

// AccessChanged tells the gateway that the owner or the members of a
// conversation have changed, or that it is gone. It does not wait: within a
// second, browsers whose user lost access lose their subscriptions there, each
// with an -ERR, and keep the rest.
func (g *Gateway) AccessChanged(c status.ConversationID) { g.access.Changed(c) }

// Connections counts the connections of the HTTP server that the gateway is behind,
// whose hooks are its.
func (g *Gateway) Connections() *httpconn.Counter { return g.connections }

// Stats returns the counts of now.
func (g *Gateway) Stats() Stats {
	b := g.browsers.Stats()
	return Stats{
		Stats:   g.access.Stats(),
		Sockets: b.Browsers, SlowCloses: b.SlowCloses, Shed: b.Shed, Sheltered: b.Sheltered, Resumed: b.Resumed,
	}
}

var _ http.Handler = (*Gateway)(nil)
