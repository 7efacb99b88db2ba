package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// stormTimeout is how long the clients of one server may take to be all back.
const stormTimeout = 60 * time.Second

// stormServer is a server that a storm goes over. Its data outlives a restart, as
// far as it keeps any.
type stormServer interface {
	launch(log io.Writer) error
	process() *process
	url() string
	dialect() (dialect, error)
	// publish sends a status and does not wait for an answer; when more follow it may
	// wait for those. flush returns when the server has taken all that was published.
	publish(subject int, payload []byte, more bool) error
	flush(ctx context.Context) error
	close()
}

// stormBout is one server and its clients.
type stormBout struct {
	contender Contender
	server    stormServer
	running   bool
	tabs      *tabs
	sent      int // statuses of each subject
	opts      StormOptions
	log       io.Writer
}

// RunStorm puts the servers to it in turn and returns what it has found. Everything
// that it starts has ended when it returns.
func RunStorm(ctx context.Context, opts StormOptions) (_ StormReport, err error) {
	if err := opts.Validate(); err != nil {
		return StormReport{}, err
	}
	log := cmp.Or(opts.Log, io.Discard)
	dir, remove, err := scratch()
	if err != nil {
		return StormReport{}, err
	}
	defer remove(&err)

	report := StormReport{Options: opts}
	var bouts []*stormBout
	defer func() {
		for _, b := range bouts {
			b.close()
		}
	}()
	for _, c := range opts.Contenders {
		b := &stormBout{contender: c, opts: opts, log: log}
		bouts = append(bouts, b)
		if err := b.begin(ctx, filepath.Join(dir, c.Server+"-"+c.Recovery)); err != nil {
			return report, fmt.Errorf("%s, %s: %w", c.Server, c.Recovery, err)
		}
	}
	for _, calamity := range []Calamity{Cut, Restart} {
		rows := make([]StormRow, len(bouts))
		for round := range opts.Rounds {
			for i := range bouts {
				i = (i + round) % len(bouts)
				b := bouts[i]
				m, err := b.storm(ctx, calamity)
				if err != nil {
					return report, fmt.Errorf("%s, %s, %s, round %d: %w", b.contender.Server, b.contender.Recovery, calamity, round+1, err)
				}
				fmt.Fprintf(log, "round %d %s %-10s %-8s %d caught up, all after %v, p50 %v, p99 %v, slowest %v, CPU %v, %d doubles, others %.0f %%, stolen %.0f %%\n",
					round+1, calamity, b.contender.Server, b.contender.Recovery, m.CaughtUp, m.All.Round(time.Millisecond), m.P50.Round(time.Millisecond),
					m.P99.Round(time.Millisecond), m.Slowest.Round(time.Millisecond), m.CPU.Round(time.Millisecond), m.Doubles, 100*m.Others, 100*m.Stolen)
				rows[i].Contender, rows[i].Calamity = b.contender, calamity
				rows[i].Rounds = append(rows[i].Rounds, m)
			}
		}
		report.Rows = append(report.Rows, rows...)
	}
	return report, nil
}

// begin starts the server and connects the clients, and each gets a first status.
func (b *stormBout) begin(ctx context.Context, dir string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*stormTimeout)
	defer cancel()
	b.server = newStormServer(b.contender, b.opts, dir)
	if err := b.launch(); err != nil {
		return err
	}
	if s, ok := b.server.(*stormStatuswire); ok {
		if err := s.populate(ctx, b.opts.Subjects); err != nil {
			return err
		}
	}
	d, err := b.server.dialect()
	if err != nil {
		return err
	}
	b.tabs = newTabs(b.opts.Clients, b.opts.Subjects, d)
	b.tabs.connect(context.WithoutCancel(ctx), b.server.url(), 0)
	if err := b.tabs.wait(ctx, "are connected", (*tab).isBack); err != nil {
		return err
	}
	return b.publishAll(ctx, 1)
}

func (b *stormBout) launch() error {
	err := b.server.launch(b.log)
	b.running = err == nil
	return err
}

// storm is one of them.
func (b *stormBout) storm(ctx context.Context, calamity Calamity) (m StormMeasurement, err error) {
	if err := sleep(ctx, b.opts.Rest); err != nil {
		return m, err
	}
	whole := context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(ctx, 2*stormTimeout)
	defer cancel()
	if calamity == Restart {
		b.tabs.mayEnd.Store(true)
		b.server.close()
		b.running = false
	}
	b.tabs.cut()
	if calamity == Restart {
		if err := b.launch(); err != nil {
			return m, err
		}
	}
	if err := b.publish(ctx, b.opts.Missed); err != nil {
		return m, err
	}
	doubles := b.tabs.doubles()

	w, err := newWatch(b.server.process())
	if err != nil {
		return m, err
	}
	b.tabs.connect(whole, b.server.url(), b.sent)
	published, err := b.publishUntil(ctx, b.tabs)
	if err != nil {
		return m, err
	}
	took, err := w.stop()
	if err != nil {
		return m, err
	}
	m = b.tabs.measured()
	m.All, m.CPU, m.Others, m.Stolen = took.wall, took.server, took.others, took.stolen

	// What came meanwhile has reached everybody, and the next ones do.
	most := slices.Max(published) + 1
	for subject, n := range published {
		for ; n < most; n++ {
			if err := b.publishOne(subject, b.sent+n, true); err != nil {
				return m, err
			}
		}
	}
	b.sent += most
	if err := b.server.flush(ctx); err != nil {
		return m, err
	}
	if err := b.tabs.wait(ctx, "have all that came meanwhile", b.hasAll); err != nil {
		return m, err
	}
	m.Doubles = b.tabs.doubles() - doubles
	return m, nil
}

// publishUntil sends statuses at the rate to the subjects in turn until all clients
// are back, and returns how many each subject got.
func (b *stormBout) publishUntil(ctx context.Context, all *tabs) ([]int, error) {
	published := make([]int, b.opts.Subjects)
	done := make(chan error, 1)
	go func() { done <- all.wait(ctx, "are back", (*tab).isBack) }()
	start := time.Now()
	for n := 0; ; n++ {
		var due <-chan time.Time
		if b.opts.Live > 0 {
			due = time.After(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(b.opts.Live))))
		}
		select {
		case err := <-done:
			return published, err
		case <-due:
		}
		s := n % b.opts.Subjects
		if err := b.publishOne(s, b.sent+published[s], false); err != nil {
			return nil, errors.Join(err, <-done)
		}
		published[s]++
	}
}

// publish sends n statuses to each subject.
func (b *stormBout) publish(ctx context.Context, n int) error {
	for range n {
		for s := range b.opts.Subjects {
			if err := b.publishOne(s, b.sent, true); err != nil {
				return err
			}
		}
		b.sent++
	}
	return b.server.flush(ctx)
}

// publishAll is publish, and waits until the clients have them.
func (b *stormBout) publishAll(ctx context.Context, n int) error {
	if err := b.publish(ctx, n); err != nil {
		return err
	}
	return b.tabs.wait(ctx, "have the first status", b.hasAll)
}

func (b *stormBout) hasAll(t *tab) bool { return t.next.Load() == int64(b.sent) }

func (b *stormBout) publishOne(subject, number int, more bool) error {
	return b.server.publish(subject, appendStatus(nil, 0, number), more)
}

func (b *stormBout) close() {
	if b.tabs != nil {
		b.tabs.cut()
	}
	if b.running {
		b.server.close()
	}
}

func (t *tab) isBack() bool { return t.caughtUp.Load() > 0 || t.lost.Load() }

func (all *tabs) doubles() (n int) {
	for _, t := range all.list {
		n += int(t.doubles.Load())
	}
	return n
}

// measured is what the single clients saw of the storm.
func (all *tabs) measured() (m StormMeasurement) {
	var times []time.Duration
	for _, t := range all.list {
		if d := t.caughtUp.Load(); d > 0 {
			times = append(times, time.Duration(d))
		}
	}
	m.CaughtUp = len(times)
	m.P50, m.P99 = percentiles(times)
	if len(times) > 0 {
		m.Slowest = times[len(times)-1]
	}
	return m
}
