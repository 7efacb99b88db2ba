package edge

import (
	"context"

	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/status"
)

// Present is the answer to a presence request.
type Present struct {
	Conversation status.ConversationID `json:"conversation"`
	// Users are present; Members are they, in the order of arrival.
	Users   int               `json:"users"`
	Members []presence.Member `json:"members"`
	// Truncated is true when those who came last were left out because the answer
	// would not fit into one message.
	Truncated bool `json:"truncated,omitempty"`
}

// nobody is the presence of a service that was given none.
type nobody struct{}

func (nobody) List(status.ConversationID) []presence.Member { return nil }

// presence answers edge.<c>.presence, to those who may see the conversation.
func (s *Service) presence(ctx context.Context, r request) (any, error) {
	c, err := s.conversation(ctx, r)
	if err != nil {
		return nil, err
	}
	list := s.list(r.conversation)
	members, _ := firstMembers(list, s.room())
	return Present{Conversation: c.ID, Users: len(list), Members: members, Truncated: len(members) < len(list)}, nil
}

// list is never nil: in JSON nobody is [].
func (s *Service) list(c status.ConversationID) []presence.Member {
	return append([]presence.Member{}, s.deps.Presence.List(c)...)
}

// firstMembers returns as many members as fit into room, and about what they take.
func firstMembers(list []presence.Member, room int64) (members []presence.Member, size int64) {
	for i, m := range list {
		// A user id has no control characters, so an escape at most doubles it.
		next := size + int64(2*len(m.User)+len(`{"user":"","connections":1048576,"since":"2026-01-19T12:00:00.000000000Z"},`))
		if next > room {
			return list[:i], size
		}
		size = next
	}
	return list, size
}
