package broadcaster

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/pause"
	"github.com/statuswire/statuswire/status"
)

// Outgoing is one status of a batch.
type Outgoing struct {
	Conversation status.ConversationID
	Message      status.Message
}

// Result is what became of one status of a batch: Err is nil when it is stored.
type Result struct {
	Ack Ack
	Err error
}

// PublishBatch stores many statuses, Options.MaxInFlight at a time without
// waiting for each, and returns when every one has its result. The results are
// in the order of batch; what Publish says of one holds for each of them. A
// refused status does not hold up the others. They are sent in order, and those
// of one subject stored in order, unless one had to be repeated.
//
// The error is not nil when any status was not stored; it wraps the first one's.
func (p *Publisher) PublishBatch(ctx context.Context, batch []Outgoing) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	run, err := p.newBatchRun(batch)
	if err != nil {
		return nil, err
	}
	defer run.close()
	delay := p.opts.RetryWait
	for {
		again := run.round(ctx)
		if len(again) == 0 {
			break
		}
		run.todo = again
		if !pause.For(ctx.Done(), delay) {
			run.giveUp(ctx)
			break
		}
		delay = min(2*delay, maxRetryWait)
	}
	return run.results, run.err()
}

// batchRun is one batch on its way.
type batchRun struct {
	p       *Publisher
	out     []*outgoing // nil where the message was refused at once
	results []Result
	todo    []int // of out, what has no result yet

	inbox   string // an answer to out[i] comes to inbox.i
	sub     *nats.Subscription
	answers chan *nats.Msg
}

func (p *Publisher) newBatchRun(batch []Outgoing) (*batchRun, error) {
	run := &batchRun{
		p:       p,
		out:     make([]*outgoing, len(batch)),
		results: make([]Result, len(batch)),
		inbox:   p.nc.NewInbox(),
		answers: make(chan *nats.Msg, 2*p.opts.MaxInFlight),
	}
	for i, o := range batch {
		out, err := prepare(o.Conversation, o.Message)
		if err != nil {
			run.results[i].Err = err
			continue
		}
		run.out[i] = out
		run.todo = append(run.todo, i)
	}
	if len(run.todo) == 0 {
		return run, nil
	}
	sub, err := p.nc.ChanSubscribe(run.inbox+".*", run.answers)
	if err != nil {
		return nil, fmt.Errorf("publish a batch: cannot hear acknowledgements: %w", err)
	}
	run.sub = sub
	return run, nil
}

func (run *batchRun) close() {
	if run.sub != nil {
		_ = run.sub.Unsubscribe()
	}
}

// round sends everything that has no result yet and waits for the answers. It
// returns what has to be sent again.
func (run *batchRun) round(ctx context.Context) (again []int) {
	inFlight := map[int]bool{}
	sentAt := make([]time.Time, len(run.todo))
	oldest, next := 0, 0 // of todo: all before oldest are answered, all from next on unsent
	timer := time.NewTimer(run.p.opts.AttemptTimeout)
	defer timer.Stop()
	for {
		for next < len(run.todo) && len(inFlight) < run.p.opts.MaxInFlight && ctx.Err() == nil {
			i := run.todo[next]
			sentAt[next] = time.Now()
			next++
			if err := run.send(i); err != nil {
				again = run.settle(i, Ack{}, err, again)
				continue
			}
			inFlight[i] = true
		}
		for oldest < next && !inFlight[run.todo[oldest]] {
			oldest++
		}
		if oldest == next { // all is answered that could be sent
			return append(again, run.todo[next:]...)
		}
		timer.Reset(time.Until(sentAt[oldest].Add(run.p.opts.AttemptTimeout)))
		select {
		case m := <-run.answers:
			if i, ok := run.index(m); ok && inFlight[i] {
				delete(inFlight, i)
				ack, err := run.read(i, m)
				again = run.settle(i, ack, err, again)
			}
		case <-timer.C:
			i := run.todo[oldest]
			delete(inFlight, i)
			again = run.settle(i, Ack{}, fmt.Errorf("publish %s: %w", run.out[i].subject, nats.ErrTimeout), again)
		case <-ctx.Done():
			for _, i := range run.todo[oldest:next] {
				if inFlight[i] {
					again = append(again, i)
				}
			}
			return append(again, run.todo[next:]...)
		}
	}
}

func (run *batchRun) send(i int) error {
	out := run.out[i]
	if err := run.p.nc.PublishMsg(out.message(run.inbox + "." + strconv.Itoa(i))); err != nil {
		return fmt.Errorf("publish %s: %w", out.subject, err)
	}
	return nil
}

// settle writes the result of one status, or puts it down for another attempt.
func (run *batchRun) settle(i int, ack Ack, err error, again []int) []int {
	if err != nil && retryable(err) {
		run.out[i].last = err
		return append(again, i)
	}
	run.results[i] = Result{Ack: ack, Err: err}
	return again
}

func (run *batchRun) index(m *nats.Msg) (int, bool) {
	i, err := strconv.Atoi(strings.TrimPrefix(m.Subject, run.inbox+"."))
	return i, err == nil && i >= 0 && i < len(run.out) && run.out[i] != nil
}

func (run *batchRun) read(i int, m *nats.Msg) (Ack, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return Ack{}, fmt.Errorf("publish %s: %w", run.out[i].subject, nats.ErrNoResponders)
	}
	return run.out[i].ack(m.Data)
}

func (run *batchRun) giveUp(ctx context.Context) {
	for _, i := range run.todo {
		run.results[i].Err = run.out[i].gaveUp(ctx)
	}
}

// err sums up the results.
func (run *batchRun) err() error {
	failed := 0
	var first error
	for _, r := range run.results {
		if r.Err == nil {
			continue
		}
		if failed++; first == nil {
			first = r.Err
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d statuses were not stored, the first: %w", failed, len(run.results), first)
}
