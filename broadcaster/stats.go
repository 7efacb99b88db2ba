package broadcaster

import (
	"sync/atomic"

	"github.com/statuswire/statuswire/status"
)

// Stats are the counts since Start.
type Stats struct {
	Received   uint64            // submissions, whatever became of them
	Forwarded  uint64            // handed to the stream, which acknowledges them
	Refused    map[string]uint64 // by the name of the error: "unknown_category"
	Unanswered uint64            // of the refused: there was nobody to answer
	Dropped    uint64            // not even refused, because far too many arrived
}

type counts struct {
	received, forwarded, unanswered atomic.Uint64
	refused                         map[int]*refusals // by ErrCode; never changes
	dropped                         uint64            // guarded by Broadcaster.mu
}

type refusals struct {
	name string
	n    atomic.Uint64
}

func newCounts() *counts {
	c := &counts{refused: map[int]*refusals{}}
	for _, e := range status.Errors() {
		c.refused[e.Error.ErrCode] = &refusals{name: e.Name}
	}
	return c
}

func (c *counts) refuse(e *status.Error) {
	if r := c.refused[e.ErrCode]; r != nil {
		r.n.Add(1)
	}
}

// Stats is a snapshot of the counts. The numbers are taken one after the other,
// not at one instant.
func (b *Broadcaster) Stats() Stats {
	s := Stats{
		Received:   b.counts.received.Load(),
		Forwarded:  b.counts.forwarded.Load(),
		Unanswered: b.counts.unanswered.Load(),
		Refused:    map[string]uint64{},
	}
	for _, r := range b.counts.refused {
		if n := r.n.Load(); n > 0 {
			s.Refused[r.name] = n
		}
	}
	s.Dropped = b.dropped()
	return s
}

// dropped keeps what the subscription says for when it is closed.
func (b *Broadcaster) dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sub != nil {
		if n, err := b.sub.Dropped(); err == nil {
			b.counts.dropped = uint64(n)
		}
	}
	return b.counts.dropped
}
