package history

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/status"
)

const (
	// MaxBatch is how many messages one call of After returns at most.
	MaxBatch = 200
	// DefaultTimeout bounds each request to the stream, in addition to the
	// caller's context.
	DefaultTimeout = 5 * time.Second
)

// Reader reads the stream STATUS over one connection, which must be allowed to
// publish $JS.API.DIRECT.GET.STATUS and to subscribe to its own inbox. The
// server runs a read in the read loop of that connection, so a busy reader
// deserves one of its own. Safe for concurrent use.
type Reader struct {
	nc *nats.Conn
}

// NewReader returns a reader over nc. It starts nothing and has nothing to stop.
func NewReader(nc *nats.Conn) *Reader { return &Reader{nc: nc} }

// Snapshot is the last status of each category of a conversation, all true at
// one sequence.
type Snapshot struct {
	// UpToSequence is the sequence that the snapshot is true for: whatever is
	// not in it and matters has a greater one. It is 0 when the conversation
	// has no stored status.
	UpToSequence uint64
	// Messages are in the order of their sequences, one for each subject.
	Messages []Message
}

// Snapshot reads the last status of each category of a conversation.
func (r *Reader) Snapshot(ctx context.Context, c status.ConversationID) (Snapshot, error) {
	return r.lastOfEach(ctx, status.ConversationSubjects(c))
}

// LastSequences returns the sequence of the newest stored message for each
// literal subject that matches subject, a literal or a wildcard. It is
// ErrTooManySubjects for more than 1024 of them.
func (r *Reader) LastSequences(ctx context.Context, subject string) (map[string]uint64, error) {
	s, err := r.lastOfEach(ctx, subject)
	if err != nil {
		return nil, err
	}
	sequences := make(map[string]uint64, len(s.Messages))
	for _, m := range s.Messages {
		sequences[m.Subject] = m.Sequence
	}
	return sequences, nil
}

// lastOfEach asks multi_last, which returns whole messages: no_hdr is ignored
// there (nats-server 2.15.2) and would hide the sequence. Large answers take
// several pages; the first fixes the sequence that all are read at.
func (r *Reader) lastOfEach(ctx context.Context, subject string) (Snapshot, error) {
	var s Snapshot
	req := request{MultiLast: []string{subject}}
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

// After returns the stored messages of subject, a literal or a wildcard, with
// after < sequence ≤ upTo, oldest first. It returns at most max of them and
// never more than MaxBatch; fewer when they are large. more says that others
// may follow: ask again after the last one's sequence. What retention has
// dropped is left out without a word; a caller who must know compares
// sequences.
func (r *Reader) After(ctx context.Context, subject string, after, upTo uint64, max int) (messages []Message, more bool, err error) {
	if upTo <= after || max <= 0 {
		return nil, false, nil
	}
	batch := min(max, MaxBatch)
	// Sequences are unique in the stream: a narrow gap holds few messages.
	if gap := upTo - after; gap < uint64(batch) {
		batch = int(gap)
	}
	p, err := r.get(ctx, request{Seq: after + 1, NextFor: subject, Batch: batch})
	if err != nil {
		return nil, false, err
	}
	for i, m := range p.messages {
		if m.Sequence > upTo {
			return p.messages[:i], false, nil
		}
	}
	if n := len(p.messages); n > 0 {
		more = p.pending > 0 && p.messages[n-1].Sequence < upTo
	}
	return p.messages, more, nil
}
