package app

import (
	"context"
	"errors"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/status"
)

// membership lets the gateway ask who may see a conversation.
type membership struct{ *kv.Directory }

func (m membership) Admits(ctx context.Context, c status.ConversationID, u status.UserID) (bool, error) {
	conversation, err := m.Conversation(ctx, c)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return conversation.Admits(u), nil
}

func (m membership) Categories(ctx context.Context, c status.ConversationID) ([]status.Category, error) {
	conversation, err := m.Conversation(ctx, c)
	if err != nil {
		return nil, err
	}
	return conversation.AllCategories(), nil
}
