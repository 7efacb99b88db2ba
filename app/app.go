package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/fanout/fromhistory"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/link"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/noise"
	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/internal/storage"
)

// Defaults of Options.
const (
	DefaultDataDir      = "data"
	DefaultHTTP         = "127.0.0.1:8080"
	DefaultMetrics      = "127.0.0.1:9464"
	DefaultDrainTimeout = 10 * time.Second
)

// replayConns is how many connections read the stream for browsers that come back.
const replayConns = 2

// Errors of the life cycle.
var (
	ErrStarted = errors.New("started already: make a new app")
	ErrStopped = errors.New("stopped while starting")
)

// App is one Statuswire process. It has one life: Start once, then Stop.
type App struct {
	opts  Options
	log   *slog.Logger   // of all parts; it goes through noise
	noise *noise.Handler // bounds what strangers can have written
	keys  *keys.Set
	ready atomic.Bool

	// gatewayUp is true from when the gateway can be told of changes.
	gatewayUp atomic.Bool
	// calloutUp is true from when the callout can be told of changes of keys.
	calloutUp atomic.Bool

	engine      *engine.Engine
	storage     *storage.Watch
	directory   *kv.Directory
	keyring     *keyring.Ring
	sessions    *session.Registry
	links       *link.Links
	fanout      *fanout.Fanout
	callout     *authcallout.Service // nil with Options.ExternalCallout
	witness     *authcallout.Witness // only then
	broadcaster *broadcaster.Broadcaster
	edge        *edge.Service
	audit       *audit.Recorder
	presence    *presence.Tracker
	metrics     *metrics.Metrics
	marks       *mark.Store
	markKeeper  *mark.Keeper
	gateway     *gateway.Gateway
	demo        *demo
	httpAddr    net.Addr
	metricsAddr net.Addr // nil when they have no listener of their own

	mu      sync.Mutex // held while starting or stopping; guards started, steps
	started bool
	steps   steps
}

// New checks the options, reads or makes the keys in DataDir, and starts nothing.
func New(opts Options) (*App, error) {
	if opts.DataDir == "" {
		opts.DataDir = DefaultDataDir
	}
	if opts.HTTP == "" {
		opts.HTTP = DefaultHTTP
	}
	if opts.Metrics == "" {
		opts.Metrics = DefaultMetrics
	}
	if opts.DrainTimeout == 0 {
		opts.DrainTimeout = DefaultDrainTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Demo && !IsLoopback(opts.HTTP) {
		return nil, fmt.Errorf("the demo hands out tokens to everybody who asks, so it listens on a loopback address only: %q is none", opts.HTTP)
	}
	if opts.ProxyProtocol && len(opts.Gateway.TrustedProxies) == 0 {
		return nil, errors.New("ProxyProtocol without TrustedProxies: say whose PROXY headers are believed")
	}
	asked := opts
	if err := opts.shareDescriptors(); err != nil {
		return nil, err
	}
	set, err := keys.Load(opts.DataDir)
	if err != nil {
		return nil, err
	}
	a := &App{opts: opts, noise: noise.New(opts.Logger.Handler(), noise.Options{Network: limit.Network}), keys: set, sessions: session.NewRegistry()}
	a.log = slog.New(a.noise)
	asked.Report(a.log)

	engineOpts := opts.Engine
	engineOpts.Keys = set
	engineOpts.Logger = a.log
	engineOpts.ExternalCallout = opts.ExternalCallout
	engineOpts.LineBytes = link.LineBytes(cmp.Or(opts.Gateway.MaxControlLineBytes, gateway.DefaultOptions().MaxControlLineBytes), opts.ExternalCallout)
	if engineOpts.StoreDir == "" {
		engineOpts.StoreDir = filepath.Join(opts.DataDir, "streams")
	}
	if a.engine, err = engine.New(engineOpts); err != nil {
		return nil, err
	}
	a.links = link.New(a.engine, a.sessions, link.Options{
		From:     session.Authority{Issuer: a.engine.CalloutIssuer(), Account: engine.AccountStatus},
		External: opts.ExternalCallout,
	})
	if err := a.makeStorage(); err != nil {
		return nil, err
	}
	a.metrics = a.makeMetrics()
	if opts.Demo {
		a.demo = newDemo(a)
	}
	return a, nil
}

// Start returns when browsers and services can connect. After an error nothing
// is left running.
func (a *App) Start(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.started {
		return ErrStarted
	}
	a.started = true
	for _, part := range []struct {
		name  string
		start func(context.Context) error
	}{
		{"NATS server", a.startEngine},
		{"directory", a.startDirectory},
		{"keyring", a.startKeyring},
		{"audit", a.startAudit},
		{"callout", a.startCallout},
		{"fan-out", a.startFanout},
		{"presence", a.startPresence},
		{"broadcaster", a.startBroadcaster},
		{"edge", a.startEdge},
		{"marks", a.startMarks},
		{"gateway", a.startGateway},
		{"admin", a.startAdmin},
		{"consumers' service", a.startConsumers},
		{"storage watch", a.startStorage},
		{"metrics listener", a.startMetrics},
		{"HTTP listener", a.startHTTP},
		{"endpoints", a.announce},
	} {
		if err := part.start(ctx); err != nil {
			err = fmt.Errorf("start the %s: %w", part.name, err)
			return errors.Join(err, a.undo(context.WithoutCancel(ctx)))
		}
	}
	return nil
}

// Stop ends everything in order: browsers are told to come back, what was
// accepted is stored. Stopping twice, or without Start, is fine.
func (a *App) Stop(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.started = true
	select {
	case <-a.Dead():
		a.engine.HangUp() // no server will answer any more: nobody waits for it
	default:
	}
	return a.undo(ctx)
}

func (a *App) undo(ctx context.Context) error {
	defer a.noise.Close()
	return a.steps.run(ctx, a.opts.DrainTimeout, noise.Always(a.log))
}

func (a *App) startEngine(ctx context.Context) error {
	if err := a.engine.Start(ctx); err != nil {
		return err
	}
	a.steps.add("stop the NATS server", a.engine.Stop)
	return engine.WriteContexts(a.opts.DataDir, a.engine.ClientURL())
}

// startStorage comes when every part is there that hears of a change, and ends before
// the first of them does: nothing is brought back while all ends.
func (a *App) startStorage(ctx context.Context) error {
	if err := a.storage.Start(ctx); err != nil {
		return err
	}
	a.steps.add("stop watching the storage", a.storage.Stop)
	return nil
}

// connect opens a part's connection and closes it when the part has stopped.
func (a *App) connect(part engine.Part, opts ...nats.Option) (*nats.Conn, error) {
	nc, err := a.engine.Connect(part, opts...)
	if err != nil {
		return nil, err
	}
	a.steps.add("close the connection of "+string(part), func(context.Context) error {
		nc.Close()
		return nil
	})
	return nc, nil
}

func (a *App) startDirectory(ctx context.Context) error {
	nc, err := a.connect(engine.PartDirectory)
	if err != nil {
		return err
	}
	a.directory = kv.New(nc, kv.Options{
		Storable: a.storable(engine.BucketStream(engine.BucketDirectory)),
		Logger:   a.log,
	})
	a.directory.OnChange(func(c directory.Change) {
		if a.gatewayUp.Load() { // before it, nobody holds a grant
			a.gateway.AccessChanged(c.ID)
		}
	})
	if err := a.directory.Start(ctx); err != nil {
		return err
	}
	a.steps.add("stop the directory", a.directory.Stop)
	return nil
}

func (a *App) startCallout(ctx context.Context) error {
	if a.opts.ExternalCallout {
		return a.startWitness(ctx)
	}
	tokens := a.opts.Token
	if len(tokens.Secret) == 0 {
		tokens.Secret = a.keys.TokenSecret
	}
	verifier, err := identity.NewHS256(tokens)
	if err != nil {
		return err
	}
	nc, err := a.connect(engine.PartCallout)
	if err != nil {
		return err
	}
	opts := a.opts.Callout
	opts.Logger = a.log
	opts.OnVerdict = a.onVerdict
	deps := authcallout.Deps{
		ServerID:  a.engine.ServerID,
		Issuer:    a.keys.Issuer,
		Sessions:  a.sessions,
		Verifier:  verifier,
		Directory: a.directory,
		Named:     a.namedKeys(),
	}
	if a.engine.SealsCallouts() {
		deps.XKey = a.keys.XKey
	}
	a.callout, err = authcallout.New(nc, deps, opts)
	if err != nil {
		return err
	}
	a.calloutUp.Store(true)
	if err := a.callout.Start(ctx); err != nil {
		return err
	}
	a.steps.add("drain the callout", a.callout.Stop)
	return nil
}

// startWitness has the verdicts of somebody else's callout heard.
func (a *App) startWitness(ctx context.Context) error {
	nc, err := a.connect(engine.PartCallout)
	if err != nil {
		return err
	}
	a.witness = authcallout.NewWitness(nc, authcallout.WitnessDeps{
		ServerID: a.engine.ServerID, Issuer: a.engine.CalloutIssuer(), Answers: engine.CalloutAnswers,
		Sessions: a.sessions, OnVerdict: a.onVerdict,
	})
	if err := a.witness.Start(ctx); err != nil {
		return err
	}
	a.steps.add("stop hearing the callout", a.witness.Stop)
	return nil
}

func (a *App) startFanout(ctx context.Context) error {
	live, err := a.connect(engine.PartFanout)
	if err != nil {
		return err
	}
	// The server answers a read in the read loop of the connection that asks:
	// on one of its own it holds up no live status.
	reads, err := a.connect(engine.PartFanout)
	if err != nil {
		return err
	}
	var replays [replayConns]*nats.Conn
	for i := range replays {
		if replays[i], err = a.connect(engine.PartFanout); err != nil {
			return err
		}
	}
	read := fromhistory.Repair{Reader: history.NewReader(reads), Replays: history.NewReader(replays[:]...)}
	opts := a.opts.Fanout
	opts.Logger = a.log
	opts.OnDelivered = a.onDelivered
	opts.MaxSubscriptions, opts.Interest = a.engine.MaxSubscriptions(), a.interest
	opts.Keep = cmp.Or(a.opts.Marks.Keep, mark.DefaultOptions().Keep) // as long as a browser may come back
	a.fanout = fanout.New(live, read, opts)
	if err := a.fanout.Start(ctx); err != nil {
		return err
	}
	a.steps.add("stop the fan-out", a.fanout.Stop)
	return nil
}

func (a *App) startBroadcaster(ctx context.Context) error {
	nc, err := a.connect(engine.PartBroadcaster)
	if err != nil {
		return err
	}
	opts := a.opts.Broadcaster
	opts.Logger = a.log
	opts.Storable = a.storable(engine.StreamStatus)
	if a.broadcaster, err = broadcaster.New(nc, a.directory, opts); err != nil {
		return err
	}
	if err := a.broadcaster.Start(ctx); err != nil {
		return err
	}
	a.steps.add("drain the broadcaster", a.broadcaster.Stop)
	return nil
}

func (a *App) startAdmin(ctx context.Context) error {
	nc, err := a.connect(engine.PartAdmin)
	if err != nil {
		return err
	}
	builtIn, err := a.builtInKeys()
	if err != nil {
		return err
	}
	service, err := admin.New(nc, a.directory, admin.Options{
		Keyring: a.keyring, BuiltInKeys: builtIn, RoleAvailable: a.roleAvailable,
		Sessions:  a.gateway,
		Explainer: explainer{a.gateway, gateway.Evidence{Conversation: a.directory.Conversation, Grant: a.preview()}},
		Audit:     a.audit,
		Version:   serviceVersion(),
		Logger:    noise.Always(a.log), // only operators reach it
	})
	if err != nil {
		return err
	}
	if err := service.Start(ctx); err != nil {
		return err
	}
	a.steps.add("drain the admin service", service.Stop)
	return nil
}

func (a *App) startGateway(ctx context.Context) error {
	nc, err := a.connect(engine.PartGateway)
	if err != nil {
		return err
	}
	opts := a.opts.Gateway
	opts.Logger = a.log
	verdicts, screen := a.verdicts()
	a.gateway, err = gateway.New(gateway.Deps{
		Verdicts:  verdicts,
		Links:     a.links,
		Directory: membership{a.directory},
		Fanout:    a.fanout,
		Screen:    screen,
		Requests:  nc,
		Marks:     a.marks,
		Presence:  a.presence,
		Audit:     a.audit,
		Metrics:   a.metrics,
	}, opts)
	if err != nil {
		return err
	}
	if err := a.gateway.Start(ctx); err != nil {
		return err
	}
	a.gatewayUp.Store(true)
	a.steps.add("close the browsers", a.gateway.Stop)
	return nil
}

// announce makes the process known: readiness, endpoints.json, the demo.
func (a *App) announce(ctx context.Context) error {
	a.ready.Store(true)
	a.steps.add("not ready", func(context.Context) error {
		a.ready.Store(false)
		return a.removeEndpoints()
	})
	if a.demo != nil {
		if err := a.demo.start(ctx); err != nil {
			return err
		}
		a.steps.add("end the demo", a.demo.stop)
	}
	return a.writeEndpoints()
}
