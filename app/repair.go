package app

import (
	"context"
	"errors"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// repair lets the fan-out read the stream. Replays, which wait for their turn when
// many browsers come back at once, have a reader of their own: the others must not
// wait behind them.
type repair struct {
	*history.Reader
	replays *history.Reader
}

func (r repair) Replay(subject string, place fanout.Place) fanout.Replay {
	return replayFrom(r.replays, subject, place)
}

func (r repair) Mend(subject string, place fanout.Place) fanout.Replay {
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
		all[i] = fanout.Stored{Subject: m.Subject, Sequence: m.Sequence, Header: m.Header, Data: m.Data}
	}
	return all
}

// access lets the gateway ask who may see a conversation.
type access struct{ *kv.Directory }

func (a access) Admits(ctx context.Context, c status.ConversationID, u status.UserID) (bool, error) {
	conversation, err := a.Conversation(ctx, c)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return conversation.Admits(u), nil
}

func (a access) Categories(ctx context.Context, c status.ConversationID) ([]status.Category, error) {
	conversation, err := a.Conversation(ctx, c)
	if err != nil {
		return nil, err
	}
	return conversation.AllCategories(), nil
}
