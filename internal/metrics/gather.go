package metrics

import (
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus"
)

// shared gathers at most once in an interval, however many ask: a scrape asks every
// part, and the NATS server about its streams. Who asks in between gets the figures
// of the last time, which are not changed any more.
type shared struct {
	from     prometheus.Gatherer
	interval time.Duration

	mu       sync.Mutex // guards what follows; held while gathering, so that others wait for it
	gathered time.Time
	families []*dto.MetricFamily
	err      error
}

// Gather implements prometheus.Gatherer.
func (s *shared) Gather() ([]*dto.MetricFamily, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gathered.IsZero() || time.Since(s.gathered) >= s.interval {
		s.families, s.err = s.from.Gather()
		s.gathered = time.Now()
	}
	return s.families, s.err
}
