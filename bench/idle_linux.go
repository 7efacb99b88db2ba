package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// RunIdle holds the crowds and returns what they took. Everything that it starts has
// ended when it returns. The servers hold theirs at the same time: what is measured
// is memory, and each one's own CPU time.
func RunIdle(ctx context.Context, opts IdleOptions) (report IdleReport, err error) {
	report.Options = opts
	if err := opts.Validate(); err != nil {
		return report, err
	}
	opts.Log = cmp.Or(opts.Log, io.Discard)
	dir, remove, err := scratch()
	if err != nil {
		return report, err
	}
	defer remove(&err)
	for _, row := range opts.Rows {
		for round := range opts.Rounds {
			if err := report.round(ctx, opts, row, round, filepath.Join(dir, fmt.Sprint(row.Name, round))); err != nil {
				return report, fmt.Errorf("%s, round %d: %w", row.Name, round+1, err)
			}
		}
	}
	return report, nil
}

func (r *IdleReport) round(ctx context.Context, opts IdleOptions, row IdleRow, round int, dir string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		m   IdleMeasurement
		err error
	}
	names := opts.servers()
	outcomes := make([]chan outcome, len(names))
	for i, name := range names {
		outcomes[i] = make(chan outcome, 1)
		go func() { // ends with the row
			m, err := holdCrowd(ctx, opts, row, name, filepath.Join(dir, name))
			if err != nil {
				cancel() // there is no use in the others
			}
			outcomes[i] <- outcome{m, err}
		}()
	}
	var errs []error
	for i, name := range names {
		o := <-outcomes[i]
		if o.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, o.err))
			continue
		}
		fmt.Fprintf(opts.Log, "round %d %s %-10s %+v\n", round+1, row.Name, name, o.m)
		c := r.crowdOf(row, name)
		c.Rounds = append(c.Rounds, o.m)
	}
	return errors.Join(errs...)
}

// host is a server that can be told of as a place for a crowd.
type host interface {
	process() *process
	order(row Row) (crowdOrder, error)
	close()
}

func startHost(ctx context.Context, opts IdleOptions, row Row, name, dir string) (host, error) {
	s, err := startServer(ctx, name, Options{
		Row: row, Statuswire: opts.Statuswire, Centrifugo: opts.Centrifugo, Before: opts.Before, Log: opts.Log,
	}, dir)
	if err != nil {
		return nil, err
	}
	return s.(host), nil // IdleOptions.Validate lets no others through
}

// holdCrowd is one round of one server.
func holdCrowd(ctx context.Context, opts IdleOptions, row IdleRow, name, dir string) (m IdleMeasurement, err error) {
	server, err := startHost(ctx, opts, row.traffic(), name, dir)
	if err != nil {
		return m, err
	}
	defer server.close()
	order, err := server.order(row.traffic())
	if err != nil {
		return m, err
	}
	if err := sleep(ctx, settle); err != nil {
		return m, err
	}
	if m.Before, err = server.process().rss(); err != nil {
		return m, err
	}
	w, err := newWatch(server.process())
	if err != nil {
		return m, err
	}
	crowd, err := startCrowd(ctx, opts, order)
	if err != nil {
		return m, err
	}
	defer crowd.stop()
	took, err := w.stop()
	if err != nil {
		return m, err
	}
	m.PerLogin = took.server / time.Duration(row.Sockets)
	if w, err = newWatch(server.process()); err != nil {
		return m, err
	}
	if err := sleep(ctx, row.Hold); err != nil {
		return m, err
	}
	if m.Held, err = server.process().rss(); err != nil {
		return m, err
	}
	if took, err = w.stop(); err != nil {
		return m, err
	}
	m.Busy = float64(took.server) / float64(took.wall)
	if err := crowd.leave(); err != nil {
		return m, err
	}
	if err := sleep(ctx, row.After); err != nil {
		return m, err
	}
	m.After, err = server.process().rss()
	return m, err
}
