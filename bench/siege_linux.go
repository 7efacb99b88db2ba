package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"time"
)

// siegeConfig has every connection say where it comes from, as behind a proxy, so
// that one machine is many networks. All else is the default.
const siegeConfig = "trusted_proxies: [\"127.0.0.1\"]\nproxy_protocol: true\n"

// siege is one run.
type siege struct {
	opts   SiegeOptions
	server *statuswireServer
	log    *countingLog
	begun  time.Time
	sent   []int // statuses of each conversation

	visitors int // good logins so far
}

// RunSiege measures the good browsers alone and besieged, and returns what it has
// found. Everything that it starts has ended when it returns.
func RunSiege(ctx context.Context, opts SiegeOptions) (report SiegeReport, err error) {
	if err := opts.Validate(); err != nil {
		return report, err
	}
	opts.Log = cmp.Or(opts.Log, io.Discard)
	dir, remove, err := scratch()
	if err != nil {
		return report, err
	}
	defer remove(&err)

	s := &siege{opts: opts, log: &countingLog{to: opts.Log}, begun: time.Now()}
	s.server = &statuswireServer{binary: opts.Statuswire, dir: filepath.Join(dir, Statuswire)}
	if err := s.server.configure(siegeConfig); err != nil {
		return report, err
	}
	if err := s.server.launch(s.log); err != nil {
		return report, err
	}
	defer s.server.close()
	if err := s.populate(ctx); err != nil {
		return report, err
	}
	report.Options = opts
	return report, s.run(ctx, &report)
}

// run is the calm, the siege, and the rest.
func (s *siege) run(ctx context.Context, report *SiegeReport) error {
	good, err := s.openGood()
	if err != nil {
		return err
	}
	defer good.close()
	if report.Calm, err = s.phase(ctx, good, nil); err != nil {
		return err
	}
	fmt.Fprintf(s.opts.Log, "alone: %+v\n", report.Calm)
	if report.Before, err = s.server.child.rss(); err != nil {
		return err
	}

	logged := s.log.bytes.Load()
	strangers, err := s.besiege(ctx)
	if err != nil {
		return err
	}
	besieged, lift := context.WithCancel(ctx)
	peak := s.watchMemory(besieged)
	report.Siege, err = s.phase(ctx, good, s.changes)
	lift()
	report.Peak = <-peak
	attempts, ended := strangers.lift()
	if err := errors.Join(err, ended); err != nil {
		return err
	}
	report.Attempts = attempts
	fmt.Fprintf(s.opts.Log, "besieged: %+v\n", report.Siege)

	if err := sleep(ctx, s.opts.Rest); err != nil {
		return err
	}
	report.LogBytes = int(s.log.bytes.Load() - logged)
	if report.After, err = s.server.child.rss(); err != nil {
		return err
	}
	report.Recorded, err = s.recorded(ctx)
	return err
}

// phase is one time of good browsers. meanwhile, if there is one, runs beside them.
func (s *siege) phase(ctx context.Context, good *goodBrowsers, meanwhile func(context.Context) error) (p SiegePhase, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Duration+2*arrival)
	defer cancel()
	w, err := newWatch(s.server.process())
	if err != nil {
		return p, err
	}
	side := make(chan error, 2)
	logins := &goodLogins{siege: s}
	ending, end := context.WithTimeout(ctx, s.opts.Duration)
	defer end()
	go func() { side <- logins.run(ending) }()
	go func() {
		if meanwhile == nil {
			side <- nil
			return
		}
		side <- meanwhile(ctx)
	}()
	good.begin(s.sent)
	err = s.publish(ending)
	err = errors.Join(err, <-side, <-side)
	if err != nil {
		return p, err
	}
	if err := s.server.flush(ctx); err != nil {
		return p, err
	}
	p.Missing = good.await(ctx, s.sent)
	took, err := w.stop()
	if err != nil {
		return p, err
	}
	latencies, disconnects, err := good.measured()
	if err != nil {
		return p, err
	}
	p.Deliveries, p.Disconnects = len(latencies), disconnects
	p.Delivery.Others = took.others + took.stolen
	p.Delivery.P50, p.Delivery.P99 = percentiles(latencies)
	if len(latencies) > 0 {
		p.Delivery.Max = latencies[len(latencies)-1]
	}
	p.CPU = took.server
	p.Logins, p.Refused = len(logins.took), logins.refused
	p.LoginP50, _ = percentiles(logins.took)
	if len(logins.took) > 0 {
		p.LoginMax = logins.took[len(logins.took)-1]
	}
	return p, nil
}

// publish sends statuses to the conversations in turn, at the rate, until the context ends.
func (s *siege) publish(ctx context.Context) error {
	start := time.Now()
	for n := 0; ; n++ {
		select {
		case <-time.After(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(s.opts.Rate)))):
		case <-ctx.Done():
			return nil
		}
		c := n % len(s.sent)
		if err := s.server.publishOn(subjectOf(c), appendStatus(nil, time.Since(s.begun), s.sent[c])); err != nil {
			return err
		}
		s.sent[c]++
	}
}

// watchMemory looks at the server's memory until the context ends, and sends the most.
func (s *siege) watchMemory(ctx context.Context) <-chan int {
	peak := make(chan int, 1)
	go func() { // ends with the context
		most := 0
		for ctx.Err() == nil {
			if rss, err := s.server.child.rss(); err == nil {
				most = max(most, rss)
			}
			time.Sleep(memoryInterval)
		}
		peak <- most
	}()
	return peak
}

// countingLog counts what the server logs.
type countingLog struct {
	to    io.Writer
	bytes atomic.Int64
}

func (l *countingLog) Write(p []byte) (int, error) {
	l.bytes.Add(int64(len(p)))
	return l.to.Write(p)
}
