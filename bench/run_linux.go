package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"
)

// settle is how long the servers rest after the sockets are open, before their
// memory is looked at.
const settle = 3 * time.Second

// arrival is how long the last messages of a round may take.
const arrival = 15 * time.Second

// bout is one server and its crowd.
type bout struct {
	name   string
	server server
	crowd  *crowd
	sent   int // messages so far
	begun  time.Time
}

// Run measures the servers in turn and returns what it has found. Everything that
// it starts has ended when it returns.
func Run(ctx context.Context, opts Options) (_ Report, err error) {
	if err := opts.Validate(); err != nil {
		return Report{}, err
	}
	opts.Log = cmp.Or(opts.Log, io.Discard)
	dir, remove, err := scratch()
	if err != nil {
		return Report{}, err
	}
	defer remove(&err)

	report := Report{Row: opts.Row, Rounds: opts.Rounds, Duration: opts.Duration}
	var bouts []*bout
	defer func() {
		for _, b := range bouts {
			b.close()
		}
	}()
	begun := time.Now()
	for _, name := range opts.servers() {
		s, err := startServer(ctx, name, opts, filepath.Join(dir, name))
		if err != nil {
			return report, fmt.Errorf("%s: %w", name, err)
		}
		bouts = append(bouts, &bout{name: name, server: s, begun: begun})
	}
	memory, err := openAll(ctx, bouts, opts)
	if err != nil {
		return report, err
	}
	for i, b := range bouts {
		report.Servers = append(report.Servers, ServerReport{Name: b.name, SocketBytes: memory[i] / opts.Row.Sockets})
	}
	for round := -1; round < opts.Rounds; round++ { // the first one warms up
		for i := range bouts {
			i = (i + max(0, round)) % len(bouts)
			if err := report.measure(ctx, bouts[i], i, round, opts); err != nil {
				return report, fmt.Errorf("%s, round %d: %w", bouts[i].name, round+1, err)
			}
		}
	}
	return report, nil
}

// openAll opens the crowds and returns how much memory each server took for its.
func openAll(ctx context.Context, bouts []*bout, opts Options) ([]int, error) {
	memory := make([]int, len(bouts))
	for i, b := range bouts {
		before, err := b.server.process().rss()
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(opts.Log, "%s: opening %d sockets\n", b.name, opts.Row.Sockets)
		if b.crowd, err = b.server.open(ctx, opts.Row, b.begun); err != nil {
			return nil, fmt.Errorf("%s: %w", b.name, err)
		}
		memory[i] = -before
	}
	if err := sleep(ctx, settle); err != nil {
		return nil, err
	}
	for i, b := range bouts {
		after, err := b.server.process().rss()
		if err != nil {
			return nil, err
		}
		memory[i] += after
	}
	return memory, nil
}

// measure is one round of one server; a negative round is not entered.
func (r *Report) measure(ctx context.Context, b *bout, server, round int, opts Options) error {
	duration := opts.Duration
	if round < 0 {
		duration = opts.WarmUp
	}
	messages := int(float64(opts.Row.Rate) * duration.Seconds())
	if messages == 0 {
		return nil
	}
	runtime.GC() // not in the middle of it
	ctx, cancel := context.WithTimeout(ctx, 2*duration+arrival)
	defer cancel()
	watch, err := newWatch(b.server.process())
	if err != nil {
		return err
	}
	if err := b.publish(ctx, messages, opts.Row.Rate); err != nil {
		return err
	}
	if err := b.crowd.waitFor(ctx, int64(b.sent)*int64(opts.Row.deliveries())); err != nil {
		return err
	}
	took, err := watch.stop()
	if err != nil {
		return err
	}
	latencies, size, err := b.crowd.measured()
	if err != nil || round < 0 {
		return err
	}
	deliveries := messages * opts.Row.deliveries()
	if len(latencies) != deliveries {
		return fmt.Errorf("%d deliveries where %d were due", len(latencies), deliveries)
	}
	s := &r.Servers[server]
	s.Bytes = int(size) / deliveries
	m := Measurement{
		PerDelivery: took.server / time.Duration(deliveries),
		Rate:        float64(messages) / took.wall.Seconds(),
		Others:      took.others,
		Stolen:      took.stolen,
	}
	m.P50, m.P99 = percentiles(latencies)
	m.P999, m.Max = latencies[len(latencies)*999/1000], latencies[len(latencies)-1]
	s.Rounds = append(s.Rounds, m)
	fmt.Fprintf(opts.Log, "round %d %-10s %6.2f µs/delivery, p50 %v, p99 %v, %.0f msg/s, others %.0f %%, stolen %.0f %%\n",
		round+1, b.name, micros(m.PerDelivery), m.P50.Round(time.Microsecond), m.P99.Round(time.Microsecond), m.Rate, 100*m.Others, 100*m.Stolen)
	return nil
}

// publish sends the messages at the rate. One that is late is sent at once.
func (b *bout) publish(ctx context.Context, messages, rate int) error {
	start := time.Now()
	for i := range messages {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("after %d of %d messages: %w", i, messages, errors.Join(errOutOfTime, err))
		}
		if err := b.server.publish(b.sent, appendStatus(nil, time.Since(b.begun), b.sent)); err != nil {
			return err
		}
		b.sent++
	}
	return b.server.flush(ctx)
}

func (b *bout) close() {
	if b.crowd != nil {
		b.crowd.close()
	}
	b.server.close()
}

// watch measures CPU time from when it is made.
type watch struct {
	process      *process
	start        time.Time
	cpu          time.Duration
	own          time.Duration
	busy, stolen time.Duration
}

func newWatch(p *process) (w watch, err error) {
	w = watch{process: p, start: time.Now(), own: ownCPU()}
	if w.busy, w.stolen, err = machineBusy(); err != nil {
		return w, err
	}
	w.cpu, err = p.cpu()
	return w, err
}

// taken is what a watch has seen.
type taken struct {
	server, wall   time.Duration
	others, stolen float64 // of the machine's CPU time: other processes', the host's
}

func (w watch) stop() (taken, error) {
	cpu, err := w.process.cpu()
	if err != nil {
		return taken{}, err
	}
	busy, stolen, err := machineBusy()
	if err != nil {
		return taken{}, err
	}
	t := taken{server: cpu - w.cpu, wall: time.Since(w.start)}
	all := float64(runtime.NumCPU()) * float64(t.wall)
	t.others = max(0, float64(busy-w.busy-t.server-(ownCPU()-w.own))) / all
	t.stolen = float64(stolen-w.stolen) / all
	return t, nil
}
