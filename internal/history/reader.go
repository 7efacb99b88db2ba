package history

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/status"
)

const (
	// MaxBatch is how many messages one call of Replay.Next returns at most.
	MaxBatch = 200
	// DefaultTimeout bounds each request to the stream, from when it is sent and
	// in addition to the caller's context.
	DefaultTimeout = 5 * time.Second
)

// Reader reads the stream STATUS over a small pool of connections, which it
// uses in turn: one batch and a few small reads at a time on each. Others wait,
// first come, first served. Safe for concurrent use.
type Reader struct {
	batches   pool
	questions pool // multi_last, STREAM.INFO, single messages
	epoch     knownEpoch
	segments  *segments
	recent    Recent // nil for none
}

// Recent returns what is stored behind the place on the subject, a literal or all of a
// conversation, in order and perhaps with more, from memory: if that has all of it up to
// the newest sequence of each subject, and nothing of what was wanted is gone. It is false
// otherwise, and for a place of another epoch than the stream's of now.
type Recent func(subject string, place Place, newest map[string]uint64) ([]Message, bool)

// UseRecent has replays take from memory what it has. Before the first read.
func (r *Reader) UseRecent(recent Recent) { r.recent = recent }

// NewReader returns a reader over one connection or more. Each must be allowed
// to publish $JS.API.DIRECT.GET.STATUS and $JS.API.STREAM.INFO.STATUS and to
// subscribe to its own inbox. The server runs a read in the read loop of the
// connection, so they should carry nothing that must not wait. NewReader starts
// nothing and has nothing to stop.
func NewReader(conns ...*nats.Conn) *Reader {
	r := &Reader{batches: newPool(1, conns), questions: newPool(questionsPerConn, conns)}
	r.segments = newSegments(r)
	return r
}

// Snapshot is the last status of each category of a conversation, all true at
// one sequence.
type Snapshot struct {
	// Epoch is the life of the stream that UpToSequence is of, see Batch.
	Epoch string
	// UpToSequence is the stream's last sequence when the snapshot was read:
	// whatever is not in it and matters has a greater one.
	UpToSequence uint64
	// Messages are in the order of their sequences, one for each subject.
	Messages []Message
}

// Snapshot reads the last status of each category of a conversation.
func (r *Reader) Snapshot(ctx context.Context, c status.ConversationID) (Snapshot, error) {
	epoch, err := r.Epoch(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	s, err := r.newest(ctx, []string{status.ConversationSubjects(c)}, 0)
	s.Epoch = epoch
	return s, err
}

// LastSequences returns the sequence of the newest stored message for each
// literal subject that matches one of the subjects, literals or wildcards, and the
// stream's last sequence when they were read. It is ErrTooManySubjects for more than
// 1024 of them.
func (r *Reader) LastSequences(ctx context.Context, subjects ...string) (last map[string]uint64, upTo uint64, err error) {
	s, err := r.newest(ctx, subjects, 0)
	if err != nil {
		return nil, 0, err
	}
	last = make(map[string]uint64, len(s.Messages))
	for _, m := range s.Messages {
		last[m.Subject] = m.Sequence
	}
	return last, s.UpToSequence, nil
}

// Range returns what is stored from the sequence on, of whatever subject, in order: as
// much as one batch has, and nothing at the stream's end.
func (r *Reader) Range(ctx context.Context, from uint64) ([]Message, error) {
	p, err := r.get(ctx, request{Seq: from, Batch: MaxBatch})
	return p.messages, err
}

// lastOfEach asks multi_last for the last message of each subject, of those
// whose last one is not below from. It returns whole messages: no_hdr is ignored
// there (nats-server 2.15.2) and would hide the sequence. Large answers take
// several pages; the first fixes the sequence that all are read at.
// UpToSequence is 0 when nothing at all is stored on the subjects.
func (r *Reader) lastOfEach(ctx context.Context, subjects []string, from uint64) (Snapshot, error) {
	var s Snapshot
	req := request{MultiLast: subjects, Seq: from}
	for {
		p, err := r.get(ctx, req)
		if err != nil {
			return Snapshot{}, err
		}
		if s.UpToSequence == 0 {
			s.UpToSequence = p.upTo
		}
		s.Messages = append(s.Messages, p.messages...)
		if p.pending == 0 || len(p.messages) == 0 {
			return s, nil
		}
		req.Seq = s.Messages[len(s.Messages)-1].Sequence + 1
		req.UpToSeq = s.UpToSequence
	}
}

// newest is lastOfEach with an UpToSequence in any case.
//
// The server says up to where a multi_last is true only when it finds
// something stored on the subjects, and any other way to ask would be a second
// request, perhaps to another server that has stored more. So, when it finds
// nothing, the same is asked with a witness: the subject of some stored message.
func (r *Reader) newest(ctx context.Context, subjects []string, from uint64) (Snapshot, error) {
	s, err := r.lastOfEach(ctx, subjects, from)
	if err != nil || s.UpToSequence > 0 {
		return s, err
	}
	for range newestTries {
		witness, found, err := r.anyMessage(ctx)
		if err != nil {
			return Snapshot{}, err
		}
		if !found {
			kept, err := r.retained(ctx, subjects[0])
			if err != nil {
				return Snapshot{}, err
			}
			if kept.messages == 0 { // nothing up to the last one can be had any more
				return Snapshot{UpToSequence: kept.last}, nil
			}
			continue // it was stored, or dropped, in between
		}
		s, err := r.lastOfEach(ctx, append(slices.Clone(subjects), witness.Subject), from)
		if err != nil {
			return Snapshot{}, err
		}
		if s.UpToSequence > 0 {
			s.Messages = slices.DeleteFunc(s.Messages, func(m Message) bool { return !matches(subjects, m.Subject) })
			return s, nil
		}
	}
	return Snapshot{}, ErrNotRead
}

// newestTries is how often newest looks for a witness: each one may be dropped
// before it is asked with.
const newestTries = 3

// anyMessage returns the newest message of the stream, or, if that one was
// deleted, the oldest.
func (r *Reader) anyMessage(ctx context.Context) (m Message, found bool, err error) {
	if m, found, err = r.one(ctx, request{LastFor: ">"}); found || err != nil {
		return m, found, err
	}
	return r.one(ctx, request{Seq: 1, NextFor: ">"})
}

func matches(patterns []string, subject string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return natsproto.Matches(p, subject) })
}
