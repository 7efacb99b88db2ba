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

// repair lets the fan-out read the stream.
type repair struct{ *history.Reader }

func (r repair) After(ctx context.Context, subject string, after, upTo uint64, limit int) ([]fanout.Stored, bool, error) {
	messages, more, err := r.Reader.After(ctx, subject, after, upTo, limit)
	if err != nil {
		return nil, false, err
	}
	batch := make([]fanout.Stored, len(messages))
	for i, m := range messages {
		batch[i] = fanout.Stored{Subject: m.Subject, Sequence: m.Sequence, Header: m.Header, Data: m.Data}
	}
	return batch, more, nil
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
