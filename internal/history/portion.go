package history

import (
	"context"
	"slices"
)

// portion is what one read of a replay brought.
type portion struct {
	messages []Message // wanted or not, none above the pass's end
	upTo     uint64
	over     bool // the pass has ended
	done     bool // and it has reached its target

	// oldest is the first message that was stored when it was read, not below
	// where the reading began; nil if none is known. Of the segments it may be
	// anybody's: the stream began there or before.
	oldest *Message

	// Of what came from segments only:
	epoch  string // the life of the stream that it is of
	pieces []*piece
}

// ends is how far the stream went at least when it was read.
func (read *portion) ends() uint64 { return read.pieces[len(read.pieces)-1].through }

// shared reads the next messages of the pass out of segments. It is false when it
// is not worth while, or when they do not have what comes next.
func (p *Replay) shared(ctx context.Context, most int) (portion, bool, error) {
	ps := p.pass
	if !p.r.segments.worth(ps.next, ps.target, ps.upTo) {
		return portion{}, false, nil
	}
	read := portion{upTo: p.after}
	bytes := 0
	for next := ps.next; next <= ps.target; {
		pc, err := p.r.segments.piece(ctx, next)
		if err != nil {
			return portion{}, false, err
		}
		if pc == nil || len(read.pieces) > 0 && pc.epoch != read.epoch {
			return read, len(read.pieces) > 0, nil
		}
		read.epoch, read.pieces = pc.epoch, append(read.pieces, pc)
		if read.oldest == nil {
			read.oldest = pc.since(next)
		}
		for m := range pc.of(p.filter.conversation, next) {
			if m.Sequence > ps.target {
				break
			}
			if len(read.messages) == most || bytes >= maxReplayBytes {
				return read, true, nil
			}
			bytes += len(m.Subject) + len(m.Data) + headerBytes(m.Header)
			read.messages = append(read.messages, m.own())
			read.upTo = m.Sequence
		}
		next = pc.through + 1
		read.upTo = max(p.after, pc.through)
	}
	read.over, read.done, read.upTo = true, true, ps.upTo
	return read, true, nil
}

// cut leaves the rest to the next batch from where something may be missing, if
// retention has passed by there meanwhile: it has dropped what is below dropped,
// and oldest was still there when it was read. What stands before is whole.
func (read *portion) cut(oldest, dropped uint64) {
	for _, p := range read.pieces {
		if at := p.gap(oldest, dropped); at > 0 && at <= read.upTo {
			n, _ := slices.BinarySearchFunc(read.messages, at, bySequence)
			read.messages, read.upTo = read.messages[:n], at-1
			read.over, read.done = false, false
			return
		}
	}
}
