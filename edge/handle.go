package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/statuswire/statuswire/status"
)

// handler answers one verb: with something to marshal, or an error for refusalOf.
type handler func(ctx context.Context, r request) (any, error)

// job is a request with the time of its arrival.
type job struct {
	subject, reply string
	handle         handler
	stats          *endpointStats
	arrived        time.Time
}

// receive makes the micro handler of an endpoint. It runs in the endpoint's only
// goroutine and does not wait: the answer comes from a worker, which must not
// touch micro's request any more.
func (s *Service) receive(h handler) func(*endpointStats) micro.HandlerFunc {
	return func(stats *endpointStats) micro.HandlerFunc {
		return func(m micro.Request) {
			j := job{subject: m.Subject(), reply: m.Reply(), handle: h, stats: stats, arrived: time.Now()}
			if j.reply == "" {
				return
			}
			if err := s.enqueue(j); err != nil {
				s.refuse(j, err)
			}
		}
	}
}

func (s *Service) enqueue(j job) *status.Error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return status.ErrUnavailable.Withf("the edge is stopping: ask again")
	}
	select {
	case s.queue <- j:
		return nil
	default:
		return status.ErrOverloaded.Withf("more requests than can be answered at the moment: ask again")
	}
}

// work answers one request after the other until Stop and until the queue is empty.
func (s *Service) work(ctx context.Context) {
	for {
		select {
		case j := <-s.queue:
			s.serve(ctx, j)
		case <-s.stopping:
			if len(s.queue) == 0 {
				return
			}
		}
	}
}

// serve answers one request. A panic in what it calls ends that request only.
func (s *Service) serve(ctx context.Context, j job) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("edge: a worker panicked", "subject", j.subject, "panic", p, "stack", string(debug.Stack()))
			s.refuse(j, refusalOf(errors.New("panic")))
		}
	}()
	ctx, cancel := context.WithDeadline(ctx, j.arrived.Add(s.opts.Timeout))
	defer cancel()
	data, err := answer(ctx, j)
	if err != nil {
		refusal := refusalOf(err)
		if refusal.Retryable() {
			s.opts.Logger.Warn("edge: no answer", "subject", j.subject, "error", err)
		}
		s.refuse(j, refusal)
		return
	}
	j.stats.done(time.Since(j.arrived), nil) // who has the answer finds it counted
	s.send(j, &nats.Msg{Subject: j.reply, Data: data})
}

func answer(ctx context.Context, j job) ([]byte, error) {
	if err := ctx.Err(); err != nil { // it may have waited too long in the queue
		return nil, err
	}
	r, err := parseRequest(j.subject)
	if err != nil {
		return nil, err
	}
	v, err := j.handle(ctx, r)
	if err != nil {
		return nil, err
	}
	// Without HTML escapes, which would make a status up to six times as long.
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("marshal the answer: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// refuse answers with a micro service's error headers and the wire error.
func (s *Service) refuse(j job, e *status.Error) {
	j.stats.done(time.Since(j.arrived), e)
	s.send(j, &nats.Msg{
		Subject: j.reply,
		Header: nats.Header{
			micro.ErrorHeader:     {e.Description},
			micro.ErrorCodeHeader: {strconv.Itoa(e.Code)},
		},
		Data: e.Response(),
	})
}

func (s *Service) send(j job, m *nats.Msg) {
	if err := s.nc.PublishMsg(m); err != nil {
		s.opts.Logger.Error("edge: cannot send the answer", "subject", j.subject, "error", err)
	}
}
