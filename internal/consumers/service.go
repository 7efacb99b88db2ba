package consumers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/status"
)

// queueGroup shares the requests among the servers of a cluster.
const queueGroup = "consumers"

// What may wait; more is dropped and who asks times out.
const (
	pendingRequests = 64
	pendingBytes    = 4 << 20
)

// Service answers consumer.create.<stream>.> for one stream, one request after the
// other. New makes it, Start and Stop are its one life. Safe for concurrent use.
type Service struct {
	nc     *nats.Conn
	stream string
	opts   Options

	ctx    context.Context // of the requests; ends with Stop
	cancel context.CancelFunc
	ended  chan struct{} // closed when the last request is answered

	mu   sync.Mutex // guards what follows
	used bool       // Start or Stop was called
	sub  *nats.Subscription
}

// New returns a Service on a connection of the engine's PartConsumers or
// PartStateConsumers, whichever is in the stream's account. It starts nothing.
func New(nc *nats.Conn, stream string, opts Options) (*Service, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Service{nc: nc, stream: stream, opts: opts.withDefaults(), ended: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Start returns when requests are answered.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used {
		return ErrStarted
	}
	s.used = true
	sub, err := s.nc.QueueSubscribe(subjectRoot+s.stream+".>", queueGroup, s.answer)
	if err != nil {
		return fmt.Errorf("consumers: %w", err)
	}
	sub.SetClosedHandler(func(string) { close(s.ended) })
	s.sub = sub
	err = sub.SetPendingLimits(pendingRequests, pendingBytes)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
		defer cancel()
		err = s.nc.FlushWithContext(ctx)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("consumers: %w", err), sub.Unsubscribe())
	}
	return nil
}

// Stop takes no more requests, and returns when the one under way is answered or
// given up. Stopping twice or without Start is fine.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.used = true
	sub := s.sub
	s.sub = nil
	s.mu.Unlock()
	defer s.cancel()
	if sub == nil {
		return nil
	}
	err := sub.Unsubscribe()
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		err = nil
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
		s.cancel()
		<-s.ended // at once: what it asks is given up
	}
	if err != nil {
		return fmt.Errorf("consumers: %w", err)
	}
	return nil
}

func (s *Service) answer(m *nats.Msg) {
	// Who asks is in another account, so the server has made the reply subject.
	if !status.CanReply(m.Reply, status.ReplyImport) {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.Timeout)
	defer cancel()
	answer, err := s.create(ctx, m.Subject, m.Data)
	if err != nil {
		answer = s.refusal(err).Response()
	}
	if err := s.nc.Publish(m.Reply, answer); err != nil {
		s.opts.Logger.Warn("consumers: cannot answer", "stream", s.stream, "error", err)
	}
}

// refusal is what the other side is told; what it cannot mend goes into the log.
func (s *Service) refusal(err error) *status.Error {
	var told *status.Error
	if errors.As(err, &told) {
		return told
	}
	s.opts.Logger.Warn("consumers: cannot make one", "stream", s.stream, "error", err)
	return status.ErrUnavailable.Withf("a consumer of %s cannot be made at the moment: try again", s.stream)
}

// create asks JetStream and returns its answer, whatever that is.
func (s *Service) create(ctx context.Context, subject string, data []byte) ([]byte, error) {
	api, body, err := parse(s.stream, subject, data)
	if err != nil {
		return nil, status.ErrBadRequest.Withf("%v", err)
	}
	n, err := s.count(ctx)
	if err != nil {
		return nil, err
	}
	if n >= s.opts.MaxConsumers {
		return nil, status.ErrOverloaded.Withf("%s has %d consumers, at most %d are allowed: they are forgotten some time after they were last pulled from", s.stream, n, s.opts.MaxConsumers)
	}
	m, err := s.nc.RequestWithContext(ctx, api, body)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// count is how many consumers the stream has.
func (s *Service) count(ctx context.Context) (int, error) {
	m, err := s.nc.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+s.stream, nil)
	if err != nil {
		return 0, err
	}
	var info struct {
		Error *status.Error `json:"error"`
		State struct {
			Consumers int `json:"consumer_count"`
		} `json:"state"`
	}
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return 0, err
	}
	if info.Error != nil {
		return 0, fmt.Errorf("info of the stream: %s", info.Error.Error())
	}
	return info.State.Consumers, nil
}
