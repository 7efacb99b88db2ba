package app

import (
	"context"
	"errors"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/status"
)

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
