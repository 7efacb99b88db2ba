package edge

import (
	"sync"
	"time"

	"github.com/statuswire/statuswire/status"
)

// EndpointStats are an endpoint's counts since Start. `nats micro stats` shows
// them as its data: micro itself only sees requests arrive, since the workers
// answer them.
type EndpointStats struct {
	Answered uint64 `json:"answered"`
	Refused  uint64 `json:"refused"`
	// DurationTotal is over both, from arrival to answer, in nanoseconds.
	DurationTotal time.Duration `json:"duration_total"`
	DurationMax   time.Duration `json:"duration_max"`
	// LastRefusal is the err_code of the last one, 0 for none.
	LastRefusal int `json:"last_refusal,omitempty"`
}

type endpointStats struct {
	mu    sync.Mutex // guards stats
	stats EndpointStats
}

func (e *endpointStats) done(took time.Duration, refusal *status.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if refusal == nil {
		e.stats.Answered++
	} else {
		e.stats.Refused++
		e.stats.LastRefusal = refusal.ErrCode
	}
	e.stats.DurationTotal += took
	e.stats.DurationMax = max(e.stats.DurationMax, took)
}

func (e *endpointStats) snapshot() EndpointStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}
