package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStarted is returned by a second Start, also after Stop.
var ErrStarted = errors.New("the watch was started already: make a new one")

// Engine is who has the streams.
type Engine interface {
	// Streams are the names of all.
	Streams() []string
	// Inspect says of each that cannot store why. It asks the disk, which may hang.
	Inspect() []Fault
	// Troubled is signalled when something may have happened to a stream.
	Troubled() <-chan struct{}
	// StoreDir is the folder of the streams.
	StoreDir() string
	// Restart puts a new server in the place of the one that runs, on the same
	// folder, and returns the streams that began anew. It is an ErrStuck when the
	// old one does not end.
	Restart(ctx context.Context) (anew []string, err error)
}

// Change is what a Watch tells.
type Change struct {
	// Failed are the streams that have failed now.
	Failed []Fault
	// Good is when all was well for the last time, with Failed.
	Good time.Time
	// Recovered: all streams store again, and count as well as soon as OnChange has
	// returned. The rest goes with it.
	Recovered bool
	// Lasted is how long it has lasted.
	Lasted time.Duration
	// Anew are streams that began anew: what was stored in them is gone.
	Anew []string
}

// Watch watches an Engine. New makes it, Start and Stop are its one life. Safe for
// concurrent use.
type Watch struct {
	engine Engine
	opts   Options

	faults   atomic.Pointer[[]Fault] // of now; nil: none
	restarts atomic.Uint64
	asked    atomic.Int64 // when the look under way began, in Unix nanoseconds; 0: none is
	dead     chan struct{}
	deadErr  error // set before dead is closed

	// Of the goroutine that watches:
	pace   pace
	look   chan finding // of the look under way; nil: none is
	good   time.Time    // the last look at which all was well
	since  time.Time    // when the first stream failed
	gone   time.Time    // when one was missing first, since when it is
	anew   []string     // in restarts since then
	device uint64       // of the folder, at the start
	known  bool         // device is
	waits  string       // for what, as was logged

	mu      sync.Mutex // guards what follows
	started bool
	stopped bool
	running sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

// finding is what one look has found.
type finding struct {
	faults []Fault
	probed bool
	probe  error
}

// New makes a Watch and starts nothing.
func New(engine Engine, opts Options) (*Watch, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	w := &Watch{engine: engine, opts: opts, pace: pace{opts: opts}, dead: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w, nil
}

// Start begins to watch; the engine runs by now.
func (w *Watch) Start(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started || w.stopped {
		return ErrStarted
	}
	w.started = true
	w.device, w.known = volumeOf(w.engine.StoreDir())
	w.good = time.Now()
	w.running.Go(w.run) // ends with Stop
	return nil
}

// Stop ends the watch, and a restart that is under way. It returns when every
// goroutine has ended or the context has.
func (w *Watch) Stop(ctx context.Context) error {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.cancel()
	ended := make(chan struct{})
	go func() { // ends with the others
		w.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("storage: the disk does not answer: %w", ctx.Err())
	}
}

// Fault is nil when the stream stores, else the Fault. It never waits.
func (w *Watch) Fault(stream string) error {
	for _, f := range w.Faults() {
		if f.Stream == stream {
			return f
		}
	}
	return nil
}

// Faults are the faults of now, by stream.
func (w *Watch) Faults() []Fault {
	if p := w.faults.Load(); p != nil {
		return *p
	}
	return nil
}

// LookTime is by how much what a look says may be late.
func (w *Watch) LookTime() time.Duration { return w.opts.Every / 2 }

// Restarts is how many servers were started in place of one that failed.
func (w *Watch) Restarts() uint64 { return w.restarts.Load() }

// Alive is nil as long as it makes sense to let the process live: all is well, or
// it may become so by itself.
func (w *Watch) Alive() error {
	select {
	case <-w.dead:
		return w.deadErr
	default:
	}
	if asked := w.asked.Load(); asked != 0 {
		if since := time.Since(time.Unix(0, asked)); since >= w.opts.StuckAfter {
			return fmt.Errorf("the storage has not answered for %v", since.Round(time.Second))
		}
	}
	return nil
}

// Dead is closed when only a new process helps; Alive says why. Nothing more is tried
// then.
func (w *Watch) Dead() <-chan struct{} { return w.dead }

// troubledPerLook: a server that logs errors without end has the streams looked at
// so much more often than every Options.Every, and no more.
const troubledPerLook = 20

func (w *Watch) run() {
	ticker := time.NewTicker(w.opts.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.once(true)
		case <-w.engine.Troubled():
			w.once(false)
		case <-w.dead:
			return
		case <-w.ctx.Done():
			return
		}
		rest := time.NewTimer(w.opts.Every / troubledPerLook)
		select {
		case <-rest.C:
		case <-w.ctx.Done():
			rest.Stop()
			return
		}
	}
}

// once looks, says what has changed, and starts a new server if it may and that helps.
func (w *Watch) once(mayRestart bool) {
	found, ok := w.ask(mayRestart)
	if !ok {
		return
	}
	now := time.Now()
	w.tell(now, found.faults)
	if len(found.faults) == 0 {
		w.pace.calm(now)
		return
	}
	if !found.probed {
		return
	}
	if found.probe != nil {
		w.logWait(found.probe)
		return
	}
	w.restart()
}

// ask looks at the streams, and at the folder when a new server would help. The
// disk may hang: then all streams count as failing until it answers.
func (w *Watch) ask(mayRestart bool) (finding, bool) {
	if w.look == nil {
		look := make(chan finding, 1)
		w.look = look
		w.asked.Store(time.Now().UnixNano())
		w.running.Go(func() { look <- w.find(mayRestart) }) // ends when the disk has answered
	}
	late := time.NewTimer(w.opts.AnswerTimeout)
	defer late.Stop()
	select {
	case found := <-w.look:
		w.look = nil
		w.asked.Store(0)
		return found, true
	case <-late.C:
		return finding{faults: w.all("the disk does not answer")}, true
	case <-w.ctx.Done():
		return finding{}, false
	}
}

func (w *Watch) find(mayRestart bool) finding {
	found := finding{faults: w.engine.Inspect()}
	slices.SortFunc(found.faults, func(a, b Fault) int { return strings.Compare(a.Stream, b.Stream) })
	if w.wantsRestart(found.faults) && mayRestart {
		found.probed, found.probe = true, w.probe(found.faults)
	}
	return found
}

// wantsRestart is true when a new server would help and may be started. One that is
// missing is looked at once more: somebody may be about to make it anew.
func (w *Watch) wantsRestart(faults []Fault) bool {
	now := time.Now()
	stay, gone := false, false
	for _, f := range faults {
		stay = stay || f.Stays && !f.Gone
		gone = gone || f.Stays && f.Gone
	}
	switch {
	case !gone:
		w.gone = time.Time{}
	case w.gone.IsZero():
		w.gone = now
	}
	confirmed := gone && now.Sub(w.gone) >= w.opts.Every
	return (stay || confirmed) && !now.Before(w.pace.next())
}

func (w *Watch) probe(faults []Fault) error {
	gone := slices.ContainsFunc(faults, func(f Fault) bool { return f.Gone })
	if device, ok := volumeOf(w.engine.StoreDir()); gone && ok && w.known && device != w.device {
		return errOtherVolume
	}
	return probe(w.engine.StoreDir(), w.pace.room(), w.opts.ProbeFiles)
}

func (w *Watch) all(cause string) (faults []Fault) {
	for _, name := range w.engine.Streams() {
		faults = append(faults, Fault{Stream: name, Cause: cause, Detail: cause})
	}
	return faults
}

// tell makes the faults those of now, and says what is new.
func (w *Watch) tell(now time.Time, faults []Fault) {
	before := w.Faults()
	if len(faults) == 0 {
		if len(before) > 0 {
			w.recovered(now)
		}
		w.faults.Store(nil)
		w.good = now
		return
	}
	w.faults.Store(&faults)
	var failed []Fault
	for _, f := range faults {
		if !slices.ContainsFunc(before, func(b Fault) bool { return b.Stream == f.Stream }) {
			failed = append(failed, f)
		}
	}
	if len(failed) == 0 {
		return
	}
	if len(before) == 0 {
		w.since, w.anew, w.waits = now, nil, ""
	}
	for _, f := range failed {
		w.opts.Logger.Error("a stream cannot store: what needs it is refused until it can again", "stream", f.Stream, "cause", f.Cause, "detail", f.Detail)
	}
	w.opts.OnChange(Change{Failed: failed, Good: w.good})
}

func (w *Watch) recovered(now time.Time) {
	lasted := now.Sub(w.since).Round(time.Millisecond)
	w.opts.Logger.Info("all streams store again", "after", lasted)
	w.opts.OnChange(Change{Recovered: true, Lasted: lasted, Anew: w.anew})
	w.anew = nil
}

// logWait says, once for each reason, what a new server waits for.
func (w *Watch) logWait(why error) {
	cause := Cause(why.Error())
	if errors.Is(why, errOtherVolume) {
		cause = why.Error()
	}
	if cause == w.waits {
		return
	}
	w.waits = cause
	w.opts.Logger.Warn("the NATS server is started anew as soon as its folder takes what is written", "folder", w.engine.StoreDir(), "now", why)
}

// restart starts a new server. Nothing is stored meanwhile.
func (w *Watch) restart() {
	meanwhile := w.all("the NATS server is starting anew")
	w.faults.Store(&meanwhile)
	w.opts.Logger.Warn("starting the NATS server anew in this process, as its streams do not store any more")
	ctx, cancel := context.WithTimeout(w.ctx, w.opts.RestartTimeout)
	anew, err := w.engine.Restart(ctx)
	cancel()
	if w.ctx.Err() != nil {
		return
	}
	w.restarts.Add(1)
	for _, name := range anew {
		w.opts.Logger.Error("a stream began anew, empty: what was stored in it is gone", "stream", name)
	}
	w.anew = append(w.anew, anew...)
	giveUp := w.pace.ended(time.Now(), err == nil)
	if err == nil {
		if found, ok := w.ask(false); ok {
			w.tell(time.Now(), found.faults)
		}
		return
	}
	w.opts.Logger.Error("the NATS server could not be started anew", "error", err, "again", w.pace.next().Sub(w.pace.last))
	if giveUp || errors.Is(err, ErrStuck) {
		w.die(fmt.Errorf("the streams cannot be brought back in this process: %w", err))
	}
}

// die is called once: the watch ends with it.
func (w *Watch) die(err error) {
	w.deadErr = err
	close(w.dead)
}
