package edge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/statuswire/statuswire/status"
)

// Service is the micro service "edge". New makes it, Start and Stop are its one
// life. Safe for concurrent use.
type Service struct {
	nc    *nats.Conn
	deps  Deps
	opts  Options
	stats map[string]*endpointStats // by the endpoint's name; not changed after New

	stopping  chan struct{} // closed when nothing more is taken
	gate      sync.RWMutex  // guards closed; held while a request enters
	closed    bool
	answers   *turns
	answering sync.WaitGroup // requests without an answer yet, those that wait included
	replays   *replays
	flows     *flows
	bytes     *allowance // of the answers; histories have one of their own

	requests context.Context    // every request's; set by Start
	cancel   context.CancelFunc // ends requests that Stop has no time for

	mu      sync.Mutex // guards what follows
	used    bool       // Start or Stop was called
	service micro.Service
	flowSub *nats.Subscription
}

// endpoint is one subject that the service answers.
type endpoint struct {
	name, subject string
	receive       func(*endpointStats) micro.HandlerFunc
}

// endpoints lists each verb twice: as operators ask and as the gateway asks.
func (s *Service) endpoints() []endpoint {
	var list []endpoint
	for verb, receive := range map[string]func(*endpointStats) micro.HandlerFunc{
		status.EdgeJoin:     s.receive(s.join),
		status.EdgePresence: s.receive(s.presence),
		status.EdgeHistory:  s.receiveHistory,
	} {
		list = append(list,
			endpoint{verb, "edge.*." + verb, receive},
			endpoint{verb + "-as", "edge.*." + verb + ".*", receive})
	}
	return list
}

// New checks the dependencies and starts nothing. nc must be allowed to
// subscribe to edge.*.*, edge.*.*.* and $SRV.> and to respond.
func New(nc *nats.Conn, deps Deps, opts Options) (*Service, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if deps.Presence == nil {
		deps.Presence = nobody{}
	}
	if nc == nil || deps.Directory == nil || deps.History == nil {
		return nil, errors.New("edge: the connection, the directory and the history are required")
	}
	opts = opts.withDefaults()
	s := &Service{
		nc: nc, deps: deps, opts: opts,
		stats: map[string]*endpointStats{},
		answers: newTurns(bounds{
			places: opts.AtOnce, userPlaces: opts.UserAtOnce,
			entered: opts.AtOnce + opts.Waiting, userEntered: opts.UserAtOnce + opts.UserWaiting,
		}),
		bytes:    newAllowance(opts.pace()),
		stopping: make(chan struct{}),
		replays:  newReplays(opts.History, newAllowance(opts.pace())),
		flows:    newFlows(),
	}
	for _, e := range s.endpoints() {
		s.stats[e.name] = &endpointStats{}
	}
	return s, nil
}

// flushTimeout bounds the wait for the server to know our subscriptions, or that
// they have ended.
const flushTimeout = 5 * time.Second

// Start returns when requests are answered. The context is for starting only.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used {
		return ErrStarted
	}
	s.used = true
	service, err := micro.AddService(s.nc, micro.Config{
		Name:         "edge",
		Version:      s.opts.Version,
		Description:  "answers what browsers and operators ask about a conversation",
		StatsHandler: func(e *micro.Endpoint) any { return s.stats[e.Name].snapshot() },
		ErrorHandler: func(_ micro.Service, err *micro.NATSError) {
			s.opts.Logger.Warn("edge: subscription", "subject", err.Subject, "error", err.Description)
		},
	})
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	s.requests, s.cancel = context.WithCancel(context.Background())
	if err := s.listen(ctx, service); err != nil {
		s.cancel()
		return errors.Join(fmt.Errorf("edge: %w", err), service.Stop(), s.unlisten())
	}
	s.service = service
	return nil
}

// listen subscribes to everything that the service answers or hears.
func (s *Service) listen(ctx context.Context, service micro.Service) error {
	var err error
	// Every edge hears each: the token says whose it is.
	if s.flowSub, err = s.nc.Subscribe(status.EdgeFlowSubjects, s.flows.heard); err != nil {
		return fmt.Errorf("subscribe to %s: %w", status.EdgeFlowSubjects, err)
	}
	for _, e := range s.endpoints() {
		if err := service.AddEndpoint(e.name, e.receive(s.stats[e.name]), micro.WithEndpointSubject(e.subject)); err != nil {
			return fmt.Errorf("endpoint %s: %w", e.name, err)
		}
	}
	if err := s.flush(ctx); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// Stop takes no more requests, answers those that it has, and returns when all are
// answered. A history ends with the batch that is being read, and says
// that there is more. When the context ends first, what is left is refused as
// passing, and Stop returns the context's error.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = true
	if s.service == nil {
		return nil // never started, or stopped already
	}
	err := s.service.Stop()
	s.service = nil
	if !s.nc.IsClosed() { // what the server has sent before it heard of the end is then here
		err = errors.Join(err, s.flush(ctx))
	}
	s.gate.Lock()
	s.closed = true
	s.gate.Unlock()
	close(s.stopping)
	stop := context.AfterFunc(ctx, s.cancel)
	s.answering.Wait()
	s.replays.running.Wait()
	if !stop() {
		err = errors.Join(err, ctx.Err())
	}
	s.cancel()
	err = errors.Join(err, s.unlisten())
	if err != nil {
		return fmt.Errorf("edge: stop: %w", err)
	}
	return nil
}

// unlisten ends what the end of the micro service leaves.
func (s *Service) unlisten() error {
	if s.flowSub == nil || s.nc.IsClosed() {
		return nil
	}
	return s.flowSub.Unsubscribe()
}

func (s *Service) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return s.nc.FlushWithContext(ctx)
}

// Stats returns each endpoint's counts, by its name: "join", "presence" and
// "history" for operators, "join-as" and so on for the gateway.
func (s *Service) Stats() map[string]EndpointStats {
	out := make(map[string]EndpointStats, len(s.stats))
	for name, e := range s.stats {
		out[name] = e.snapshot()
	}
	return out
}
