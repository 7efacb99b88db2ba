package edge

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// batchTimeout bounds one batch.
const batchTimeout = 10 * time.Second

// receiveHistory returns the micro handler of edge.<c>.history. Each request gets
// a goroutine of its own, so that neither another history nor a join waits for it.
func (s *Service) receiveHistory(stats *endpointStats) micro.HandlerFunc {
	return func(m micro.Request) {
		j := job{subject: m.Subject(), reply: m.Reply(), stats: stats, arrived: time.Now()}
		if !canAnswer(j) {
			return
		}
		if err := s.startReplay(j, m.Data()); err != nil {
			s.refuse(j, refusalOf(err))
		}
	}
}

func (s *Service) startReplay(j job, body []byte) error {
	r, err := parseRequest(j.subject)
	if err != nil {
		return err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return status.ErrUnavailable.Withf("the edge is stopping: ask again")
	}
	if err := s.replays.enter(r.user); err != nil {
		return err
	}
	s.replays.running.Go(func() { s.replay(j, r, body) }) // ends with the answer, at the latest after MaxAge
	return nil
}

// replay answers one request and gives its place back before the last message:
// who has that may ask again at once.
func (s *Service) replay(j job, r request, body []byte) {
	a := answering{service: s, job: j, request: r, heard: j.arrived}
	err := a.parts(body)
	s.replays.leave(r.user)
	if err != nil {
		refusal := refusalOf(err)
		if refusal.Retryable() {
			s.opts.Logger.Warn("edge: no history", "subject", j.subject, "error", err)
		}
		s.refuse(j, refusal)
		return
	}
	j.stats.done(time.Since(j.arrived), nil)
	a.end()
}

// answering is the answer to one request for the history.
type answering struct {
	service *Service
	job     job
	request request

	flow      *flow // nil for operators, who are not paced
	left      int   // statuses that may still be sent
	bytes     int   // sent so far
	count     int
	nextAfter uint64
	epoch     string // of nextAfter
	truncated uint64
	gap       uint64 // as truncated, until a status has told it
	more      bool
	read      bool      // at least one batch
	placed    bool      // it has a place to read
	heard     time.Time // when the gateway asked, or last told that there is room
}

// parts sends everything but the last message. A panic in what it calls ends this
// request only.
func (a *answering) parts(body []byte) (err error) {
	s, j := a.service, a.job
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("edge: a history panicked", "subject", j.subject, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
	}()
	ctx, cancel := context.WithDeadline(s.requests, j.arrived.Add(s.opts.History.MaxAge))
	defer cancel()
	asked, err := parseHistoryRequest(body, s.opts.History.MaxStatuses)
	if err != nil {
		return err
	}
	if err := a.take(ctx); err != nil {
		return err
	}
	defer a.give()
	return a.stream(ctx, asked)
}

// take waits for a place to read; give it back with give.
func (a *answering) take(ctx context.Context) error {
	err := a.service.replays.begin(ctx, a.request.user, a.service.stopping)
	a.placed = err == nil
	return err
}

// give gives the place back, if there is one.
func (a *answering) give() {
	if a.placed {
		a.placed = false
		a.service.replays.end(a.request.user)
	}
}

// stream is parts once there is a place to read, and until ctx ends.
func (a *answering) stream(ctx context.Context, asked historyRequest) error {
	if a.request.user != "" {
		fl, closeFlow := a.service.flows.open(a.request.conversation)
		defer closeFlow()
		a.flow = fl
	}
	a.left = asked.limit
	replay := a.service.deps.History.Replay(asked.query(a.request.conversation))
	for {
		// Access may end while the answer is under way.
		if _, err := a.service.conversation(ctx, a.request); err != nil {
			return err
		}
		sent := 0
		err := a.service.replays.turn(ctx, a.request.user, func() (bytes int, more bool, err error) {
			b, err := a.next(ctx, replay)
			if err != nil {
				return 0, false, err
			}
			before := a.bytes
			a.read, sent = true, len(b.Messages)
			a.more = a.send(b) || !b.Done
			return a.bytes - before, a.more, nil
		})
		if a.read && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			a.more = true // it has become too old
			return nil
		}
		if err != nil || !a.more || !a.goesOn(ctx) {
			return err
		}
		switch {
		case sent == 0: // there is nothing to pace, and nobody to ask
			if a.flow != nil && time.Since(a.heard) > a.service.opts.History.FlowTimeout {
				return nil // soon nobody would wait for it any more
			}
		case a.flow != nil && !a.mayGoOn(ctx):
			return nil
		}
	}
}

// keepPlace is how long an answer keeps its place while the browser has no room.
const keepPlace = 250 * time.Millisecond

// mayGoOn returns true when there is room for the next batch, and a place to read it.
// Who reads slowly gives its place back meanwhile, and holds up nobody.
func (a *answering) mayGoOn(ctx context.Context) bool {
	s, patience := a.service, a.service.opts.History.FlowTimeout
	if a.flow.wait(ctx, min(keepPlace, patience), s.stopping) {
		a.heard = time.Now()
		return true
	}
	a.give()
	if !a.flow.wait(ctx, patience-keepPlace, s.stopping) {
		return false
	}
	a.heard = time.Now()
	return a.take(ctx) == nil
}

func (a *answering) next(ctx context.Context, replay *history.Replay) (history.Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	b, err := replay.Next(ctx, min(a.left, history.MaxBatch))
	if errors.Is(err, history.ErrOtherEpoch) {
		return b, status.ErrAheadOfStream.Withf("the position is of another epoch, so the server's data was reset: forget all positions and begin from nothing")
	}
	if errors.Is(err, history.ErrAheadOfStream) {
		return b, status.ErrAheadOfStream.Withf("the position is above the stream's last sequence, so its data was reset: forget all positions and begin from nothing")
	}
	if err != nil {
		return b, fmt.Errorf("history: %w", err)
	}
	return b, nil
}

// goesOn is true while no bound has been reached.
func (a *answering) goesOn(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-a.service.stopping:
		return false
	default:
		return a.hasRoom()
	}
}

// hasRoom is true while neither the limit nor the bound in bytes is reached.
func (a *answering) hasRoom() bool { return a.left > 0 && a.bytes < a.service.opts.History.MaxBytes }

// send sends the batch. It is true when not all of it fitted.
func (a *answering) send(b history.Batch) (cut bool) {
	a.epoch = b.Epoch
	if b.Truncated > 0 {
		a.truncated, a.gap = b.Truncated, b.Truncated
	}
	for i, m := range b.Messages {
		part := a.part(m)
		if a.gap > 0 {
			part.Header.Set(status.HeaderTruncated, strconv.FormatUint(a.gap, 10))
			a.gap = 0
		}
		size := part.Size()
		if a.count > 0 && a.bytes+size > a.service.opts.History.MaxBytes {
			a.bytes = a.service.opts.History.MaxBytes
			return true
		}
		a.bytes += size
		a.left--
		a.count++
		a.nextAfter = m.Sequence
		if a.flow != nil && i == len(b.Messages)-1 && !b.Done && a.hasRoom() {
			part.Reply = a.flow.subject
		}
		a.service.send(a.job, part)
	}
	a.nextAfter = b.UpTo
	return false
}

// part is the message for one status. It takes m's header.
func (a *answering) part(m history.Message) *nats.Msg {
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	m.Header.Set(status.HeaderSequence, strconv.FormatUint(m.Sequence, 10))
	m.Header.Set(status.HeaderSubject, m.Subject)
	m.Header.Set(status.HeaderTimeStamp, m.Time.Format(time.RFC3339Nano))
	return &nats.Msg{Subject: a.job.reply, Header: m.Header, Data: m.Data}
}

// end sends the last message. Its payload is empty: by that nats-core's
// requestMany knows it.
func (a *answering) end() {
	last := &nats.Msg{Subject: a.job.reply, Header: nats.Header{
		"Status":               {"204"},
		"Description":          {"EOB"},
		status.HeaderCount:     {strconv.Itoa(a.count)},
		status.HeaderNextAfter: {strconv.FormatUint(a.nextAfter, 10)},
		status.HeaderEpoch:     {a.epoch},
	}}
	if a.more {
		last.Header.Set(status.HeaderMore, "true")
	}
	if a.truncated > 0 {
		last.Header.Set(status.HeaderTruncated, strconv.FormatUint(a.truncated, 10))
	}
	a.service.send(a.job, last)
}
