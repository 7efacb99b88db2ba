package edge

import (
	"context"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/internal/presence"
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
	Replay(q history.Query) *history.Replay
}

// Presence knows who is present; *presence.Tracker does.
type Presence interface {
	// List is in the order of arrival.
	List(c status.ConversationID) []presence.Member
}

// Deps is what the service works with. Directory and History are required.
type Deps struct {
	Directory Directory
	History   History
	// Presence may be nil: then nobody is ever shown as present.
	Presence Presence
}
