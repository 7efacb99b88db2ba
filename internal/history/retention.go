package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// streamInfo is the subject on which the stream STATUS tells about itself.
const streamInfo = "$JS.API.STREAM.INFO.STATUS"

// retained is what the stream holds at one moment.
type retained struct {
	epoch         string
	messages      uint64
	bytes         uint64
	first         uint64 // one above last when there is no message
	firstTime     time.Time
	last          uint64
	lastTime      time.Time
	maxPerSubject int64             // ≤ 0: no limit
	counts        map[string]uint64 // messages of each subject asked for
}

// infoRequest is a STREAM.INFO request.
type infoRequest struct {
	SubjectsFilter string `json:"subjects_filter,omitempty"`
}

// infoAnswer is what is read of a STREAM.INFO answer.
type infoAnswer struct {
	Error *struct {
		Description string `json:"description"`
	} `json:"error"`
	Created time.Time `json:"created"`
	Config  struct {
		MaxPerSubject int64 `json:"max_msgs_per_subject"`
	} `json:"config"`
	State struct {
		Messages  uint64            `json:"messages"`
		Bytes     uint64            `json:"bytes"`
		FirstSeq  uint64            `json:"first_seq"`
		FirstTime time.Time         `json:"first_ts"`
		LastSeq   uint64            `json:"last_seq"`
		LastTime  time.Time         `json:"last_ts"`
		Subjects  map[string]uint64 `json:"subjects"`
	} `json:"state"`
}

// State is what the stream says of itself at one moment.
type State struct {
	// Epoch names its life, see Batch.
	Epoch string
	// First is the first sequence that it has, one above Last when it has none; Last
	// is the last one that it gave.
	First, Last uint64
	// PerSubject is how many messages of one subject it keeps; ≤ 0: no limit.
	PerSubject int
}

// State asks for the stream's state.
func (r *Reader) State(ctx context.Context) (State, error) {
	kept, err := r.retained(ctx, "")
	return State{Epoch: kept.epoch, First: kept.first, Last: kept.last, PerSubject: int(kept.maxPerSubject)}, err
}

// retained asks what is stored, with the counts of the subjects that match; of
// none for "".
func (r *Reader) retained(ctx context.Context, subjects string) (retained, error) {
	body, err := json.Marshal(infoRequest{subjects})
	if err != nil {
		return retained{}, fmt.Errorf("read the stream's state: %w", err)
	}
	nc, err := r.questions.take(ctx)
	if err != nil {
		return retained{}, fmt.Errorf("read the stream's state: %w", err)
	}
	defer r.questions.give(nc)
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, streamInfo, body)
	if errors.Is(err, nats.ErrNoResponders) {
		err = ErrUnavailable
	}
	if err != nil {
		return retained{}, fmt.Errorf("read the stream's state: %w", err)
	}
	var a infoAnswer
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return retained{}, fmt.Errorf("read the stream's state: %w: %v", ErrBadAnswer, err)
	}
	if a.Error != nil {
		return retained{}, fmt.Errorf("read the stream's state: %w: %s", ErrUnavailable, a.Error.Description)
	}
	epoch := epochOf(a.Created)
	r.epoch.set(epoch)
	kept := retained{
		epoch:    epoch,
		messages: a.State.Messages, bytes: a.State.Bytes,
		first: max(a.State.FirstSeq, 1), firstTime: a.State.FirstTime,
		last: a.State.LastSeq, lastTime: a.State.LastTime,
		maxPerSubject: a.Config.MaxPerSubject,
		counts:        a.State.Subjects,
	}
	r.segments.note(kept)
	return kept, nil
}

// droppedBefore is up to when what was dropped from the stream's beginning was
// stored, at the latest.
func (s retained) droppedBefore() time.Time {
	if s.messages == 0 {
		return s.lastTime
	}
	return s.firstTime
}

// full is true when the subject holds as many messages as it may: the oldest
// make room for new ones.
func (s retained) full(subject string) bool {
	return s.maxPerSubject > 0 && s.counts[subject] >= uint64(s.maxPerSubject)
}
