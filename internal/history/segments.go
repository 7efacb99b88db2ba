package history

import (
	"context"
	"sync"
	"time"
)

// segments are parts of the stream that many replays have in common: read once,
// all subjects together, and looked up by each. A browser that comes back wants
// few messages of a range in which all others want theirs, and nats-server finds
// them by looking at every message of the range, twice, with the stream's lock
// held (2.15.2).
//
// A segment is not more than a shortcut: whatever cannot be had of it is read
// from the stream.
type segments struct {
	read func(ctx context.Context, from uint64) (page, error)
	ask  func(ctx context.Context) (epoch string, err error)

	mu      sync.Mutex // guards what follows, and the segments
	byIndex map[uint64]*segment
	bytes   int // of all pieces
	limit   int // of bytes
	life    time.Duration
	price   uint64      // as worthLooks
	sweeper *time.Timer // nil when there are no segments
	epoch   string      // of the stream, as was last heard
	average uint64      // bytes of a message of the stream, likewise
}

const (
	// segmentSize is how many sequences a segment spans: one request brings them.
	segmentSize = MaxBatch
	// maxSegments is how far a replay may look for its messages in segments: ten
	// seconds of a stream with 6,000 statuses a second. Reading that much takes
	// about half a second.
	maxSegments = 300
	// maxKnown bounds how many segments are known, most of them only by the looks at
	// them: some 100 bytes each.
	maxKnown = 20 * maxSegments
	// maxSegmentBytes bounds what is kept: the same ten seconds of statuses of
	// 200 bytes. The oldest go first.
	maxSegmentBytes = 32 << 20
	// segmentLife is how long what was read may be handed out. A status that is
	// purged, with its conversation for instance, is not handed out any longer than
	// that.
	segmentLife = 2 * time.Second
	// messageBytes is what a message takes beside subject, data and header: what
	// arrived with it, and its place in the segment.
	messageBytes = 320
	// worthLooks is how often the server can look for something in a range for as
	// much of the processor as it takes to bring all of it here: 0.6 ms for 10,000
	// statuses against 45 ms (BenchmarkReplaysAtOnce).
	worthLooks = 64
)

func newSegments(r *Reader) *segments {
	return &segments{
		read: func(ctx context.Context, from uint64) (page, error) {
			return r.get(ctx, request{Seq: from, Batch: segmentSize})
		},
		ask: func(ctx context.Context) (string, error) {
			kept, err := r.retained(ctx, "")
			return kept.epoch, err
		},
		byIndex: map[uint64]*segment{},
		limit:   maxSegmentBytes,
		life:    segmentLife,
		price:   worthLooks,
	}
}

// segment is what is stored from first to last. It grows from its beginning, by
// one piece with each request.
type segment struct {
	first, last uint64
	looks       uint64    // how many reads of replays were to cross it
	begun       time.Time // when its reading began; before that, when it was first wanted
	pieces      []*piece
	bytes       int
	flight      *flight // not nil: a piece is on its way
}

// flight is a piece on its way. What follows done is set when done is closed.
type flight struct {
	done chan struct{}

	piece     *piece // nil: nothing more is stored there
	err       error
	abandoned bool // who read it has given up
}

// next is where the segment ends by now.
func (g *segment) next() uint64 {
	if n := len(g.pieces); n > 0 {
		return g.pieces[n-1].through + 1
	}
	return g.first
}

func indexOf(seq uint64) uint64 { return (seq - 1) / segmentSize }

// segmentLocked returns the segment of an index, a new one if it has become too old.
func (s *segments) segmentLocked(index uint64, now time.Time) *segment {
	g := s.byIndex[index]
	if g != nil && now.Sub(g.begun) < s.life {
		return g
	}
	if g != nil {
		s.bytes -= g.bytes
	}
	g = &segment{first: index*segmentSize + 1, last: (index + 1) * segmentSize, begun: now}
	s.byIndex[index] = g
	if s.sweeper == nil {
		s.sweeper = time.AfterFunc(s.life, s.sweep)
	}
	return g
}

// sweep forgets what is too old.
func (s *segments) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for index, g := range s.byIndex {
		if now.Sub(g.begun) >= s.life {
			s.dropLocked(index, g)
		}
	}
	if s.sweeper = nil; len(s.byIndex) > 0 {
		s.sweeper = time.AfterFunc(s.life/2, s.sweep)
	}
}

func (s *segments) dropLocked(index uint64, g *segment) {
	s.bytes -= g.bytes
	delete(s.byIndex, index)
}

// worth says whether a replay that wants something from from to to shall look
// for it in segments, and counts it. The stream ends at end.
//
// It is the rule of who rents or buys: as soon as the replays of the last moment
// have had the server look through what is missing here as often as would have
// paid for bringing it, it is brought. So it is never more than twice as dear as
// the best, whatever comes next, and replays that are few, or far from each other,
// read with a filter. What is here already is free, and saves this one its look.
func (s *segments) worth(from, to, end uint64) bool {
	begin, last := indexOf(from), indexOf(to)
	if last-begin >= maxSegments {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tooLong := (to-from+1)*(s.average+messageBytes) > uint64(s.limit)
	if tooLong || uint64(len(s.byIndex))+last-begin >= maxKnown {
		return false
	}
	now := time.Now()
	var looks, missing uint64
	for i := begin; i <= last; i++ {
		g := s.segmentLocked(i, now)
		g.looks++
		switch next := g.next(); {
		case g.flight != nil || next > min(to, g.last):
			looks++
		case next == g.first:
			// Whole, also where the stream ends: few never share, however short it is.
			looks += g.looks
			missing += segmentSize
		default:
			looks += g.looks
			missing += min(end, g.last) - next + 1
		}
	}
	return looks*segmentSize >= missing*s.price
}

// piece returns the piece that holds the sequence, and waits for it if it is on
// its way. It is nil when nothing is stored from there on, or when the segment does
// not get that far: others may push it out as often as it is begun.
func (s *segments) piece(ctx context.Context, seq uint64) (*piece, error) {
	for range segmentSize {
		s.mu.Lock()
		g := s.segmentLocked(indexOf(seq), time.Now())
		if p := find(g.pieces, seq); p != nil {
			s.mu.Unlock()
			return p, nil
		}
		f, mine := g.flight, g.flight == nil
		if mine {
			f = &flight{done: make(chan struct{})}
			g.flight = f
		}
		s.mu.Unlock()
		if mine {
			s.fetch(ctx, g, f)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		switch {
		case f.abandoned && !mine:
		case f.err != nil || f.piece == nil:
			return nil, f.err
		case f.piece.holds(seq): // it may have been dropped already
			return f.piece, nil
		}
	}
	return nil, nil
}

// fetch reads the next piece of a segment.
func (s *segments) fetch(ctx context.Context, g *segment, f *flight) {
	var p *piece
	var begun time.Time
	err := ErrNotRead // when it panics
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		f.piece, f.err, f.abandoned = p, err, err != nil && ctx.Err() != nil
		g.flight = nil
		if p != nil && s.byIndex[indexOf(g.first)] == g && p.epoch == s.epoch {
			s.keepLocked(g, p, begun)
		}
		close(f.done)
	}()
	var epoch string
	if epoch, err = s.known(ctx); err != nil {
		return
	}
	s.mu.Lock()
	from := g.next() // only a flight moves it
	s.mu.Unlock()
	var pg page
	if pg, err = s.read(ctx, from); err == nil && len(pg.messages) > 0 {
		p, begun = newPiece(epoch, from, g.last, pg.messages), time.Now().Add(-pg.took)
	}
}

// keepLocked adds a piece to its segment, and drops the oldest segments if it
// has become too much.
func (s *segments) keepLocked(g *segment, p *piece, begun time.Time) {
	if len(g.pieces) == 0 {
		g.begun = begun
	}
	g.pieces = append(g.pieces, p)
	g.bytes += p.bytes
	s.bytes += p.bytes
	for s.bytes > s.limit {
		var at uint64
		var oldest *segment
		for i, other := range s.byIndex {
			if other.bytes > 0 && (oldest == nil || other.begun.Before(oldest.begun)) {
				at, oldest = i, other
			}
		}
		s.dropLocked(at, oldest)
	}
}

// known returns the epoch of the stream, as was heard before now. When somebody
// reads now, and hears the same epoch again afterwards, what was read is of it.
func (s *segments) known(ctx context.Context) (string, error) {
	s.mu.Lock()
	epoch := s.epoch
	s.mu.Unlock()
	if epoch != "" {
		return epoch, nil
	}
	return s.ask(ctx)
}

// note takes what the stream says of itself.
func (s *segments) note(kept retained) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept.messages > 0 {
		s.average = kept.bytes / kept.messages
	}
	if s.epoch != "" && s.epoch != kept.epoch {
		s.forgetLocked()
	}
	s.epoch = kept.epoch
}

// forget drops all: it may be of another stream.
func (s *segments) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked()
}

func (s *segments) forgetLocked() {
	s.bytes = 0
	clear(s.byIndex)
}
