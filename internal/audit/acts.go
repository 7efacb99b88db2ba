package audit

import (
	"context"
	"log/slog"
	"sync"

	"github.com/statuswire/statuswire/internal/noise"
)

// ActStats counts the acts of administrators, each of them a record.
type ActStats struct {
	Recorded uint64 // acts that came
	Written  uint64 // acknowledged
	Lost     uint64 // that found no room, that Stop could not write in time, or that came after it
	Retries  uint64 // times that one had to be sent again
	Waiting  int    // now, for the stream
}

// act is a record on its way to the stream.
type act struct {
	kind Kind
	data []byte
}

// acts writes each act for itself, in their order, as soon as it comes. While the
// stream does not acknowledge they wait, in bounded memory.
type acts struct {
	opts  Options
	write writer
	log   *slog.Logger // whatever else is said, this is

	mu      sync.Mutex // guards what follows
	waiting []act
	bytes   int
	stopped bool
	stats   ActStats

	wake  chan struct{} // there is one more
	flush chan struct{} // closed by stop
}

func newActs(write writer, opts Options) *acts {
	return &acts{
		opts: opts, write: write, log: noise.Always(opts.Logger),
		wake: make(chan struct{}, 1), flush: make(chan struct{}),
	}
}

// record takes an act and returns at once.
func (a *acts) record(e Event) {
	r := recordOf(e)
	r.Node = a.opts.Node
	data, err := r.encode()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Recorded++
	switch {
	case err != nil:
		a.loseLocked("it makes no JSON: "+err.Error(), act{e.Kind, nil})
	case a.stopped:
		a.loseLocked("the audit has stopped", act{e.Kind, data})
	case a.bytes+len(data) > a.opts.MaxActBytes:
		a.loseLocked("too many wait for the stream AUDIT_ADMIN", act{e.Kind, data})
	default:
		a.waiting, a.bytes = append(a.waiting, act{e.Kind, data}), a.bytes+len(data)
		select {
		case a.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// loseLocked leaves in the log what is written nowhere else.
func (a *acts) loseLocked(why string, lost act) {
	a.stats.Lost++
	a.log.Error("an administrator's act is not recorded", "why", why, "record", string(lost.data))
}

// first returns the oldest act that waits.
func (a *acts) first() (act, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		return act{}, false
	}
	return a.waiting[0], true
}

// done takes the oldest one away.
func (a *acts) done() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes -= len(a.waiting[0].data)
	a.waiting[0] = act{}
	a.waiting = a.waiting[1:]
	a.stats.Written++
}

// run writes what comes until stop, and then the rest, until ctx ends.
func (a *acts) run(ctx context.Context) {
	for {
		next, ok := a.first()
		if ok {
			if err := a.deliver(ctx, next); err != nil {
				a.giveUp()
				return
			}
			a.done()
			continue
		}
		select {
		case <-a.wake:
		case <-a.flush:
			if _, more := a.first(); !more {
				return
			}
		}
	}
}

func (a *acts) deliver(ctx context.Context, next act) error {
	return deliver(ctx, a.write, a.opts, next.kind.subject(), next.data, func(attempt int, err error) {
		if attempt == 1 {
			a.log.Error("the stream AUDIT_ADMIN does not acknowledge: acts of administrators wait", "error", err)
		}
		a.mu.Lock()
		a.stats.Retries++
		a.mu.Unlock()
	})
}

// giveUp counts what will not be written, and leaves it in the log.
func (a *acts) giveUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, lost := range a.waiting {
		a.loseLocked("the stream AUDIT_ADMIN did not acknowledge in time", lost)
	}
	a.waiting, a.bytes = nil, 0
}

// stop takes no more; run ends when the rest is written.
func (a *acts) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.stopped {
		a.stopped = true
		close(a.flush)
	}
}

func (a *acts) stat() ActStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stats
	s.Waiting = len(a.waiting)
	return s
}
