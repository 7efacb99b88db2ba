package authcallout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/session"
)

// Service answers the authorization requests of one server. New makes it, Start
// and Stop are its one life. Safe for concurrent use.
type Service struct {
	nc     *nats.Conn
	deps   Deps
	opts   Options
	signer *signer
	// Of the user JWTs that the gateway gets in the process: the user key that they
	// name, which nobody has the seed of, and how they are read back.
	subject   string
	authority session.Authority

	queue    chan job
	stopping chan struct{} // closed when nothing more comes into the queue
	workers  sync.WaitGroup
	ended    chan struct{}      // closed when no worker is left
	cancel   context.CancelFunc // ends requests that Stop has no time for
	counters counters
	seal     atomic.Pointer[seal] // our server's, once seen in a verified request
	live     live                 // clients with a named key

	mu      sync.Mutex // guards what follows
	started bool
	stopped bool
	sub     *nats.Subscription // nil before Start
	drained chan struct{}      // closed when the subscription has handed over its last request
}

// New checks the dependencies and starts nothing. nc must be allowed to
// subscribe to $SYS.REQ.USER.AUTH in the callout's account and to respond.
func New(nc *nats.Conn, deps Deps, opts Options) (*Service, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	switch {
	case nc == nil:
		return nil, errors.New("authcallout: the connection is missing")
	case deps.ServerID == nil, deps.Issuer == nil, deps.Sessions == nil, deps.Verifier == nil, deps.Directory == nil:
		return nil, errors.New("authcallout: server id, issuer, sessions, verifier and directory are required")
	case !nkeys.IsValidPublicServerKey(deps.ServerID()):
		return nil, fmt.Errorf("authcallout: %q is no server id: take the engine's once it runs", deps.ServerID())
	}
	if err := deps.Named.validate(); err != nil {
		return nil, err
	}
	signer, err := newSigner(deps.Issuer)
	if err != nil {
		return nil, err
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("authcallout: %w", err)
	}
	subject, err := user.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("authcallout: %w", err)
	}
	opts = opts.withDefaults()
	return &Service{
		nc: nc, deps: deps, opts: opts, signer: signer, subject: subject,
		authority: session.Authority{Issuer: signer.public, Account: opts.Account},
		ended:     make(chan struct{}),
		queue:     make(chan job, opts.QueueLength),
		stopping:  make(chan struct{}),
		drained:   make(chan struct{}),
	}, nil
}

// flushTimeout bounds Start's wait for the server to know the subscription.
const flushTimeout = 5 * time.Second

// Start returns when requests are answered. The context is for starting only.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.stopped {
		return ErrStarted
	}
	sub, err := s.nc.Subscribe(requestSubject, s.receive)
	if err != nil {
		return fmt.Errorf("authcallout: subscribe: %w", err)
	}
	sub.SetClosedHandler(func(string) { close(s.drained) })
	flush, cancelFlush := context.WithTimeout(ctx, flushTimeout)
	defer cancelFlush()
	if err := s.nc.FlushWithContext(flush); err != nil {
		return errors.Join(fmt.Errorf("authcallout: subscribe: %w", err), sub.Unsubscribe())
	}
	requests, cancel := context.WithCancel(context.Background())
	s.started, s.sub, s.cancel = true, sub, cancel
	for range s.opts.Workers {
		s.workers.Go(func() { s.work(requests) }) // ends with s.stopping
	}
	return nil
}

// Stop takes no more requests, answers those that it has, and returns when every
// worker has ended. When the context ends first, what is left is denied as
// passing, and Stop returns the context's error once the workers have ended.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.stopped
	s.stopped = true
	if again {
		return nil
	}
	defer close(s.ended)
	if s.sub == nil {
		return nil // not started
	}
	return s.drain(ctx, s.sub)
}

func (s *Service) drain(ctx context.Context, sub *nats.Subscription) error {
	var err error
	if drainErr := sub.Drain(); drainErr == nil {
		select {
		case <-s.drained:
		case <-ctx.Done():
			err = ctx.Err()
		}
	} // else the connection is closed and hands over nothing
	close(s.stopping)
	stop := context.AfterFunc(ctx, s.cancel)
	s.workers.Wait()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	s.cancel()
	if err != nil {
		return fmt.Errorf("authcallout: stop: %w", err)
	}
	return nil
}

// Stats returns the counts since Start.
func (s *Service) Stats() Stats {
	stats := s.counters.snapshot()
	stats.Queued = len(s.queue)
	return stats
}
