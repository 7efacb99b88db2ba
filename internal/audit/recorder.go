package audit

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stats counts events unless it says records: Recorded is at any time what was
// Written, what was Lost, and what is in open records.
type Stats struct {
	Recorded   uint64 // events that came
	Written    uint64 // events in acknowledged records
	Lost       uint64 // events that Stop could not write in time, or that came after it
	Overflowed uint64 // of the recorded, those of which kind and number are told, or the number alone
	Records    uint64 // acknowledged records
	Retries    uint64 // times that a record had to be sent again
	Open       int    // records that wait now, for more of their kind or to be written

	Acts ActStats // of administrators, which are counted nowhere above
}

// Recorder takes events and writes records. Safe for concurrent use; a nil
// Recorder drops what it gets, for parts that run without one.
type Recorder struct {
	opts  Options
	write writer
	acts  *acts

	mu               sync.Mutex // guards what follows
	strangers, users *table
	next             time.Time // when the goroutine looks again; zero: when it is woken
	outgoing         int       // records taken from the table and not written yet
	stats            Stats
	started          bool
	stopped          bool

	wake   chan struct{} // a record is due before next
	flush  chan struct{} // closed by Stop
	ctx    context.Context
	cancel context.CancelFunc // gives up what is being written
	ended  chan struct{}      // closed when both goroutines have ended
}

// New makes a Recorder that writes on nc, a connection of the engine's PartAudit.
// It starts nothing, but events may be recorded from now on.
func New(nc *nats.Conn, opts Options) (*Recorder, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return newRecorder(streamWriter(js), opts), nil
}

func newRecorder(write writer, opts Options) *Recorder {
	opts = opts.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	return &Recorder{
		opts: opts, write: write, acts: newActs(write, opts),
		strangers: newTable("records_of_strangers", opts.Strangers, opts), users: newTable("records_of_users", opts.Users, opts),
		wake: make(chan struct{}, 1), flush: make(chan struct{}),
		ctx: ctx, cancel: cancel, ended: make(chan struct{}),
	}
}

// Record takes an event and returns at once. What is wrong in it, an unknown kind
// or a text too long, is made to fit.
func (r *Recorder) Record(e Event) {
	if r == nil {
		return
	}
	now := time.Now()
	e = e.clean(now)
	if e.Kind.isAct() {
		r.acts.record(e)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Recorded += uint64(e.Count)
	if r.stopped {
		r.stats.Lost += uint64(e.Count)
		r.opts.Logger.Warn("a security event came after the audit had stopped", "kind", string(e.Kind), "reason", e.Reason)
		return
	}
	of := r.strangers
	if e.User != "" {
		of = r.users
	}
	due, kept := of.add(now, e)
	if !kept {
		r.stats.Overflowed += uint64(e.Count)
	}
	if r.next.IsZero() || due.Before(r.next) {
		r.next = due
		select {
		case r.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Stats returns the counts since New.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Open = len(r.strangers.open) + len(r.users.open) + r.outgoing
	s.Acts = r.acts.stat()
	return s
}

// Start begins to write. It does not wait for the stream.
func (r *Recorder) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started || r.stopped {
		return ErrStarted
	}
	r.started = true
	var running sync.WaitGroup // ends with Stop, which waits for it
	running.Go(r.run)
	running.Go(func() { r.acts.run(r.ctx) })
	go func() {
		running.Wait()
		close(r.ended)
	}()
	return nil
}

// Stop writes what waits, for as long as the context and Options.FlushTimeout
// allow, and ends. What could not be written is counted in the error, and logged.
func (r *Recorder) Stop(ctx context.Context) error {
	r.mu.Lock()
	first := !r.stopped
	r.stopped = true
	started := r.started
	r.mu.Unlock()
	if first {
		close(r.flush)
		r.acts.stop()
		if !started {
			r.giveUp(r.takeAll())
			r.acts.giveUp()
			close(r.ended)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.FlushTimeout)
	defer cancel()
	select {
	case <-r.ended:
	case <-ctx.Done():
		r.cancel()
		<-r.ended // at once: whatever it waits for has ended
	}
	r.cancel()
	if s := r.Stats(); first && s.Lost+s.Acts.Lost > 0 {
		return fmt.Errorf("audit: %d events and %d acts of administrators could not be written", s.Lost, s.Acts.Lost)
	}
	return nil
}

// run writes what is due until Stop, then all the rest.
func (r *Recorder) run() {
	for {
		timer := time.NewTimer(r.untilNext())
		select {
		case <-timer.C:
		case <-r.wake:
		case <-r.flush:
			timer.Stop()
			r.writeAll(r.takeAll())
			return
		}
		timer.Stop()
		r.writeAll(r.takeDue())
	}
}

// idle is how long the goroutine sleeps when nothing is open.
const idle = time.Hour

func (r *Recorder) untilNext() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.IsZero() {
		return idle
	}
	return max(0, time.Until(r.next))
}

func (r *Recorder) takeDue() []Record { return r.take(false) }
func (r *Recorder) takeAll() []Record { return r.take(true) }

func (r *Recorder) take(all bool) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	records, next := r.strangers.take(now, all, nil, time.Time{})
	records, next = r.users.take(now, all, records, next)
	byTime(records)
	r.next = next
	r.outgoing = len(records)
	return records
}

// writeAll writes the records one after the other. What follows meanwhile folds
// in the table, so a slow stream gets fewer records, not later ones.
func (r *Recorder) writeAll(records []Record) {
	for i, record := range records {
		record.Node = r.opts.Node
		if err := r.writeOne(record); err != nil {
			r.giveUp(records[i:])
			return
		}
		r.mu.Lock()
		r.stats.Records++
		r.stats.Written += uint64(record.Count)
		r.outgoing--
		r.mu.Unlock()
	}
}

// giveUp counts what will not be written, and leaves it in the log.
func (r *Recorder) giveUp(records []Record) {
	for _, record := range records {
		r.mu.Lock()
		r.stats.Lost += uint64(record.Count)
		r.outgoing--
		r.mu.Unlock()
		r.opts.Logger.Error("a security event could not be written", record.attrs()...)
	}
}

func (r Record) attrs() []any {
	return []any{
		slog.Time("time", r.Time), slog.String("kind", string(r.Kind)), slog.Int("count", r.Count),
		slog.String("user", string(r.User)), slog.String("address", r.Address),
		slog.String("conversation", string(r.Conversation)), slog.String("subject", r.Subject),
		slog.String("limit", r.Limit), slog.String("reason", r.Reason), slog.String("actor", r.Actor),
	}
}
