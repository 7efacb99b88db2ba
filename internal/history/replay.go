package history

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/statuswire/statuswire/status"
)

// Place says how far somebody has all statuses.
type Place struct {
	// Epoch names the life of the stream that the place is of, as a Batch or a
	// Snapshot gave it; "": it is not checked.
	Epoch string
	// After: everything up to this sequence is known.
	After uint64
	// Seen are later positions of single subjects; may be nil.
	Seen map[string]uint64
}

// Query says which statuses of a conversation are wanted: of each subject those
// after the place's position, which is the greater one of After and Seen.
type Query struct {
	Conversation status.ConversationID
	// Categories: empty for all.
	Categories []status.Category
	Place      Place
	// Since leaves out what was stored before; zero for nothing.
	Since time.Time
	// MinPriority leaves out what is less urgent; "" for nothing.
	MinPriority status.Priority
}

// Batch is a piece of a replay.
type Batch struct {
	// Messages are in the order of the stream. There may be none although Done
	// is false: then all that were read were not wanted.
	Messages []Message
	// UpTo: everything wanted up to this sequence has been returned, or is
	// reported as truncated.
	UpTo uint64
	// Epoch names the life of the stream that UpTo is of. Another one's sequences
	// have nothing to do with this one's.
	Epoch string
	// Truncated is not 0 when retention has dropped something that was wanted,
	// from before Messages: the first sequence that could still be had. A
	// subject that holds as many messages as it may counts as truncated when its
	// oldest does not follow the position directly; whether what was between was
	// its own nobody knows any more.
	Truncated uint64
	// Done: the tail is reached, as it was when reading began. Next may be
	// called again for what has come since.
	Done bool
}

// Replay reads what a query wants, batch by batch. It holds nothing between two
// calls and has nothing to close. Not safe for concurrent use.
type Replay struct {
	r      *Reader
	filter filter

	epoch string // of all that was returned, and of the place; "" while it is not known
	fixed bool   // the caller knows it, by its query or a batch

	after uint64            // everything wanted up to it was returned
	seen  map[string]uint64 // as Place.Seen
	floor uint64            // what Since leaves out ends here, as far as known

	size    int   // of the next batch, at most
	pass    *pass // nil: ask what is new
	nothing int   // batches in a row that brought nothing although something was there
}

// pass is one way through the stream, up to where it ended when the pass began.
type pass struct {
	subject string // what is read: a literal if one subject has news, else all
	next    uint64
	target  uint64            // the last message that is wanted
	upTo    uint64            // the stream's last
	news    map[string]uint64 // the last message of each subject that has news
}

// maxReplayBytes bounds a batch of a replay, which goes to one browser's queue
// as a whole. The last message may exceed it.
const maxReplayBytes = 128 << 10

// A batch holds the stream's lock for as long as it is read, and that is as long as
// the way between its messages: where they are sparse, a batch has fewer.
const (
	firstSize = 100
	leastSize = 20
	shortRead = time.Millisecond     // below it the next batch may be larger
	longRead  = 3 * time.Millisecond // above it the next batch is smaller
)

// maxNothing is how many batches in a row may bring nothing although the stream
// has said that there is something: a replica that lags, or retention.
const maxNothing = 3

// Replay begins a replay. It asks nothing yet.
func (r *Reader) Replay(q Query) *Replay {
	p := &Replay{r: r, filter: newFilter(q), epoch: q.Place.Epoch, fixed: q.Place.Epoch != "", after: q.Place.After, seen: maps.Clone(q.Place.Seen), size: firstSize}
	if p.seen == nil {
		p.seen = map[string]uint64{}
	}
	return p
}

// Next returns the next batch, of at most `most` messages and never more than
// MaxBatch. It is ErrAheadOfStream when the place is above the stream's last
// sequence or of another epoch. After an error the same batch can be asked for again.
func (p *Replay) Next(ctx context.Context, most int) (Batch, error) {
	for {
		b, err := p.next(ctx, most)
		if !errors.Is(err, ErrOtherEpoch) || p.fixed {
			return b, err
		}
		// What was read may be of either one, and was not given away.
	}
}

func (p *Replay) next(ctx context.Context, most int) (Batch, error) {
	if p.pass == nil {
		if err := p.begin(ctx); err != nil {
			return Batch{}, err
		}
		if b, ok := p.recalled(most); ok {
			return b, nil
		}
	}
	read, kept, err := p.read(ctx, most)
	if err != nil {
		return Batch{}, err
	}
	lost, err := p.lost(ctx, &read, kept)
	if err != nil {
		return Batch{}, err
	}
	p.skip(lost)
	p.fixed = true
	b := Batch{Epoch: p.epoch, Truncated: lost.first(), Done: read.done}
	for _, m := range read.messages {
		if m.Sequence > p.known(m.Subject) && p.filter.wants(m) {
			b.Messages = append(b.Messages, m)
		}
	}
	p.after = max(p.after, read.upTo)
	b.UpTo = p.after
	if p.pass.next = p.after + 1; read.over {
		p.pass = nil
	}
	return b, nil
}

// begin asks what is new and plans the way to it. When nothing is, the pass has
// no way to go.
func (p *Replay) begin(ctx context.Context) error {
	if p.epoch == "" {
		epoch, err := p.r.Epoch(ctx)
		if err != nil {
			return err
		}
		p.epoch = epoch
	}
	s, err := p.r.newest(ctx, p.filter.subjects, p.lowest()+1)
	if err != nil {
		return err
	}
	ps := &pass{subject: p.filter.all, upTo: s.UpToSequence, news: map[string]uint64{}}
	for _, m := range s.Messages {
		known := p.known(m.Subject)
		if m.Sequence <= known || m.Time.Before(p.filter.since) {
			continue
		}
		if len(ps.news) == 0 || known+1 < ps.next {
			ps.next = known + 1
		}
		ps.news[m.Subject] = m.Sequence
		ps.target = max(ps.target, m.Sequence)
	}
	if len(ps.news) == 1 {
		for subject := range ps.news {
			ps.subject = subject
		}
	}
	if len(ps.news) > 0 {
		if err := p.findFloor(ctx, ps.upTo); err != nil {
			return err
		}
		ps.next = max(ps.next, p.floor+1)
	}
	p.pass = ps
	return nil
}

// findFloor looks once where Since is in the stream.
func (p *Replay) findFloor(ctx context.Context, upTo uint64) error {
	if p.filter.since.IsZero() || p.floor > 0 {
		return nil
	}
	since := p.filter.since
	first, found, err := p.r.one(ctx, request{StartTime: &since, NextFor: p.filter.all})
	if err != nil {
		return err
	}
	p.floor = upTo
	if found {
		p.floor = first.Sequence - 1
	}
	return nil
}

// read takes the next messages of the pass, and what the stream holds afterwards:
// asked after the batch, nothing can be dropped unnoticed in between.
func (p *Replay) read(ctx context.Context, most int) (portion, retained, error) {
	if p.pass.ended() {
		kept, err := p.r.retained(ctx, p.filter.all)
		return portion{upTo: p.pass.upTo, over: true, done: true}, kept, err
	}
	read, ok, err := p.shared(ctx, min(most, MaxBatch))
	if err != nil {
		return portion{}, retained{}, err
	}
	if ok {
		kept, err := p.r.retained(ctx, p.filter.all)
		if err != nil || kept.epoch == read.epoch && kept.last >= read.ends() {
			p.nothing = 0 // it has come further
			return read, kept, err
		}
		p.r.segments.forget() // the stream was made anew, or restored
	}
	if read, err = p.alone(ctx, min(most, p.size)); err != nil {
		return portion{}, retained{}, err
	}
	kept, err := p.r.retained(ctx, p.filter.all)
	return read, kept, err
}

// ended is true when there is nothing to read.
func (ps *pass) ended() bool { return ps.next > ps.target || len(ps.news) == 0 }

// alone reads the next messages of the pass with a filter.
func (p *Replay) alone(ctx context.Context, most int) (portion, error) {
	ps := p.pass
	if gap := ps.target - ps.next + 1; gap < uint64(most) {
		most = int(gap)
	}
	pg, err := p.r.get(ctx, request{Seq: ps.next, NextFor: ps.subject, Batch: most, MaxBytes: maxReplayBytes})
	if err != nil {
		return portion{}, err
	}
	switch {
	case pg.took > longRead:
		p.size = max(p.size/2, leastSize)
	case pg.took < shortRead:
		p.size = min(p.size*2, MaxBatch)
	}
	read := portion{messages: pg.messages, upTo: p.after}
	for i, m := range pg.messages {
		if m.Sequence > ps.upTo {
			read.messages, read.done = pg.messages[:i], true
			break
		}
		read.upTo = m.Sequence
		read.done = m.Sequence >= ps.target
	}
	switch {
	case read.done:
		read.over, read.upTo = true, ps.upTo
	case pg.pending == 0:
		read.over = true // the target is gone, or this replica does not have it yet
	}
	if len(read.messages) > 0 {
		read.oldest = &read.messages[0]
	}
	if len(pg.messages) > 0 {
		p.nothing = 0
		return read, nil
	}
	if p.nothing++; p.nothing >= maxNothing {
		p.nothing, p.pass = 0, nil
		return portion{}, ErrNotRead
	}
	return read, nil
}

// known is up to where the subject's messages are known.
func (p *Replay) known(subject string) uint64 { return max(p.after, p.seen[subject]) }

// lowest is the lowest position of what is wanted.
func (p *Replay) lowest() uint64 {
	if p.filter.categories == nil {
		return p.after // a subject that is not in seen counts from there
	}
	lowest := p.known(p.filter.subjects[0])
	for _, subject := range p.filter.subjects[1:] {
		lowest = min(lowest, p.known(subject))
	}
	return lowest
}
