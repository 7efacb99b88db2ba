// Package fromhistory lets the fan-out read the stream as internal/history does: it
// makes a fanout.Repair of readers.
package fromhistory

import (
	"context"
	"errors"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// Repair implements fanout.Repair.
type Repair struct {
	// Reader is asked for what everybody waits for: positions, and what mends a hole.
	Reader *history.Reader
	// Replays reads for single subscriptions. These wait for their turn when many
	// browsers come back at once, and the others must not wait behind them.
	Replays *history.Reader
}

// State implements fanout.Repair.
func (r Repair) State(ctx context.Context) (fanout.StreamState, error) {
	s, err := r.Reader.State(ctx)
	return fanout.StreamState(s), err
}

// LastSequences implements fanout.Repair.
func (r Repair) LastSequences(ctx context.Context, subjects ...string) (last map[string]uint64, upTo uint64, err error) {
	return r.Reader.LastSequences(ctx, subjects...)
}

// Range implements fanout.Repair.
func (r Repair) Range(ctx context.Context, from uint64) ([]fanout.Stored, error) {
	messages, err := r.Replays.Range(ctx, from)
	return stored(messages), err
}

// Replay implements fanout.Repair.
func (r Repair) Replay(subject string, place fanout.Place) fanout.Replay {
	return replayFrom(r.Replays, subject, place)
}

// Mend implements fanout.Repair.
func (r Repair) Mend(subject string, place fanout.Place) fanout.Replay {
	return replayFrom(r.Reader, subject, place)
}

func replayFrom(r *history.Reader, subject string, place fanout.Place) fanout.Replay {
	q := history.Query{Place: history.Place(place)}
	q.Conversation, _ = status.ConversationOf(subject)
	if _, category, err := status.ParseSubject(subject); err == nil {
		q.Categories = []status.Category{category}
	}
	return replay{r.Replay(q)}
}

// replay is a replay of one conversation, or of one of its categories.
type replay struct{ *history.Replay }

// Next implements fanout.Replay.
func (r replay) Next(ctx context.Context) (fanout.Piece, error) {
	b, err := r.Replay.Next(ctx, history.MaxBatch)
	switch {
	case errors.Is(err, history.ErrAheadOfStream):
		return fanout.Piece{}, fanout.ErrAheadOfStream
	case err != nil:
		return fanout.Piece{}, err
	}
	return fanout.Piece{Statuses: stored(b.Messages), Epoch: b.Epoch, UpTo: b.UpTo, Truncated: b.Truncated, Done: b.Done}, nil
}

func stored(messages []history.Message) []fanout.Stored {
	all := make([]fanout.Stored, len(messages))
	for i, m := range messages {
		all[i] = fanout.Stored(m)
	}
	return all
}
