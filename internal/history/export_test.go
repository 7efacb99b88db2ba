package history

import (
	"context"
	"time"
)

// ReadAlone has every replay read with a filter.
func (r *Reader) ReadAlone() { r.segments.limit = 0 }

// ShareAtOnce has every replay read segments, however few there are.
func (r *Reader) ShareAtOnce() { r.segments.price = 0 }

// KeepSegments says how many bytes are kept, and for how long.
func (r *Reader) KeepSegments(bytes int, life time.Duration) {
	r.segments.limit, r.segments.life = bytes, life
}

// SegmentBytes is what the segments take, as they count it, and the sum of their
// pieces.
func (r *Reader) SegmentBytes() (counted, held int) {
	s := r.segments
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.byIndex {
		for _, p := range g.pieces {
			held += p.bytes
		}
	}
	return s.bytes, held
}

// Known is up to where what is stored on a subject was brought or reported.
func (p *Replay) Known(subject string) uint64 { return p.known(subject) }

// Batch asks the stream once for up to n messages of subject behind a sequence.
func (r *Reader) Batch(ctx context.Context, subject string, after uint64, n int) ([]Message, error) {
	p, err := r.get(ctx, request{Seq: after + 1, NextFor: subject, Batch: n})
	return p.messages, err
}
