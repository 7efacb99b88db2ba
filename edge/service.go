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

	queue    chan job
	stopping chan struct{} // closed when nothing more comes into the queue
	gate     sync.RWMutex  // guards closed; held while a request enters the queue
	closed   bool
	workers  sync.WaitGroup
	cancel   context.CancelFunc // ends requests that Stop has no time for

	mu      sync.Mutex // guards what follows
	used    bool       // Start or Stop was called
	service micro.Service
}

// endpoint is one subject that the service answers.
type endpoint struct {
	name, subject string
	handle        handler
}

// endpoints lists each verb twice: as operators ask and as the gateway asks.
func (s *Service) endpoints() []endpoint {
	var list []endpoint
	for verb, h := range map[string]handler{status.EdgeJoin: s.join, status.EdgePresence: s.presence} {
		list = append(list,
			endpoint{verb, "edge.*." + verb, h},
			endpoint{verb + "-as", "edge.*." + verb + ".*", h})
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
		stats:    map[string]*endpointStats{},
		queue:    make(chan job, opts.QueueLength),
		stopping: make(chan struct{}),
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
	for _, e := range s.endpoints() {
		err := service.AddEndpoint(e.name, s.receive(e.handle, s.stats[e.name]), micro.WithEndpointSubject(e.subject))
		if err != nil {
			return errors.Join(fmt.Errorf("edge: endpoint %s: %w", e.name, err), service.Stop())
		}
	}
	if err := s.flush(ctx); err != nil {
		return errors.Join(fmt.Errorf("edge: subscribe: %w", err), service.Stop())
	}
	requests, cancel := context.WithCancel(context.Background())
	s.service, s.cancel = service, cancel
	for range s.opts.Workers {
		s.workers.Go(func() { s.work(requests) }) // ends with s.stopping
	}
	return nil
}

// Stop takes no more requests, answers those that it has, and returns when every
// worker has ended. When the context ends first, what is left is refused as
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
	s.workers.Wait()
	if !stop() {
		err = errors.Join(err, ctx.Err())
	}
	s.cancel()
	if err != nil {
		return fmt.Errorf("edge: stop: %w", err)
	}
	return nil
}

func (s *Service) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return s.nc.FlushWithContext(ctx)
}

// Stats returns each endpoint's counts, by its name: "join" and "presence" for
// operators, "join-as" and "presence-as" for the gateway.
func (s *Service) Stats() map[string]EndpointStats {
	out := make(map[string]EndpointStats, len(s.stats))
	for name, e := range s.stats {
		out[name] = e.snapshot()
	}
	return out
}
