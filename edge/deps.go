package edge

import (
	"context"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// Directory says whose a conversation is and which categories it has.
// directory.ErrNotFound is an answer; any other error counts as passing.
type Directory interface {
	Conversation(ctx context.Context, id status.ConversationID) (directory.Conversation, error)
}

// History reads what is stored; *history.Reader does.
type History interface {
	Snapshot(ctx context.Context, c status.ConversationID) (history.Snapshot, error)
}

// Deps is what the service works with. Both are required.
type Deps struct {
	Directory Directory
	History   History
}
