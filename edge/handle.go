package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
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
	request        request
	handle         handler
	stats          *endpointStats
	arrived        time.Time
}

// receive makes the micro handler of an endpoint. It runs in the endpoint's only
// goroutine and does not wait: the answer comes when it is the user's turn, and must
// not touch micro's request any more.
func (s *Service) receive(h handler) func(*endpointStats) micro.HandlerFunc {
	return func(stats *endpointStats) micro.HandlerFunc {
		return func(m micro.Request) {
			j := job{subject: m.Subject(), reply: m.Reply(), handle: h, stats: stats, arrived: time.Now()}
			if !canAnswer(j) {
				return
			}
			if err := s.enqueue(j); err != nil {
				s.refuse(j, refusalOf(err))
			}
		}
	}
}

// canAnswer reports whether the answer may go where it is asked to: to the gateway
// when it forwards for a user, otherwise to another account, as operators', or to a
// browser's inbox on the server's own WebSocket listener.
func canAnswer(j job) bool {
	if strings.Count(j.subject, ".") == 3 {
		return status.CanReply(j.reply, status.ReplyGateway)
	}
	return status.CanReply(j.reply, status.ReplyImport, status.ReplyUser)
}

func (s *Service) enqueue(j job) error {
	var err error
	if j.request, err = parseRequest(j.subject); err != nil {
		return err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return status.ErrUnavailable.Withf("the edge is stopping: ask again")
	}
	switch s.answers.enter(j.request.user) {
	case ofUser:
		return status.ErrTooManyRequests.Withf("%d of your requests wait for their answers, which is the limit: wait for them, then ask again", s.answers.bounds.userEntered)
	case ofAll:
		return status.ErrOverloaded.Withf("more requests than can be answered at the moment: ask again")
	}
	s.answering.Add(1) // until answered
	s.answers.await(j.request.user, func() { go s.answerInTurn(j) })
	return nil
}

// answerInTurn answers a request whose turn it is, and its user then rests. Who has the
// answer may ask again at once.
func (s *Service) answerInTurn(j job) {
	defer s.answering.Done()
	begun := time.Now()
	m := s.answerOf(j)
	s.answers.end(j.request.user, s.restAfter(j.request.user, time.Since(begun), len(m.Data)))
	s.answers.leave(j.request.user)
	s.send(j, m)
}

// restAfter is how long a user's place rests after an answer: as long as that took, so
// that one user's requests, however many, leave half of the time to others, or until
// the user's allowance of bytes is there again: making them costs little beside handing
// them on, to the gateway and to the browser, which nobody counts there.
func (s *Service) restAfter(u status.UserID, took time.Duration, bytes int) time.Duration {
	return max(min(took, longestRest), s.bytes.spend(time.Now(), u, bytes))
}

// answerOf makes the answer to one request. A panic in what it calls ends that request
// only.
func (s *Service) answerOf(j job) (m *nats.Msg) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("edge: a request panicked", "subject", j.subject, "panic", p, "stack", string(debug.Stack()))
			m = refused(j, refusalOf(errors.New("panic")))
		}
	}()
	ctx, cancel := context.WithDeadline(s.requests, j.arrived.Add(s.opts.Timeout))
	defer cancel()
	data, err := answer(ctx, j)
	if err != nil {
		refusal := refusalOf(err)
		if refusal.Retryable() {
			s.opts.Logger.Warn("edge: no answer", "subject", j.subject, "error", err)
		}
		return refused(j, refusal)
	}
	j.stats.done(time.Since(j.arrived), nil) // who has the answer finds it counted
	return &nats.Msg{Subject: j.reply, Data: data}
}

func answer(ctx context.Context, j job) ([]byte, error) {
	if err := ctx.Err(); err != nil { // it may have waited too long in the queue
		return nil, err
	}
	v, err := j.handle(ctx, j.request)
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
func (s *Service) refuse(j job, e *status.Error) { s.send(j, refused(j, e)) }

func refused(j job, e *status.Error) *nats.Msg {
	j.stats.done(time.Since(j.arrived), e)
	return &nats.Msg{
		Subject: j.reply,
		Header: nats.Header{
			micro.ErrorHeader:     {e.Description},
			micro.ErrorCodeHeader: {strconv.Itoa(e.Code)},
		},
		Data: e.Response(),
	}
}

func (s *Service) send(j job, m *nats.Msg) {
	if err := s.nc.PublishMsg(m); err != nil {
		s.opts.Logger.Error("edge: cannot send the answer", "subject", j.subject, "error", err)
	}
}
