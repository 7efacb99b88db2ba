package edge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// request is who asks what about which conversation.
type request struct {
	conversation status.ConversationID
	verb         string
	// user is empty for operators, who may ask about every conversation.
	user status.UserID
}

// parseRequest takes edge.<c>.<verb> and edge.<c>.<verb>.<user> apart.
func parseRequest(subject string) (request, error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 3 && len(tokens) != 4 {
		return request{}, status.ErrBadRequest.Withf("subject %s is not edge.<conversation>.<verb>", status.Quote(subject))
	}
	c, err := status.ParseConversationID(tokens[1])
	if err != nil {
		return request{}, status.ErrBadRequest.Withf("%v", err)
	}
	r := request{conversation: c, verb: tokens[2]}
	if len(tokens) == 4 {
		if r.user, err = status.UserIDFromToken(tokens[3]); err != nil {
			return request{}, status.ErrBadRequest.Withf("%v", err)
		}
	}
	return r, nil
}

// conversation looks the request's conversation up and checks the user's access.
func (s *Service) conversation(ctx context.Context, r request) (directory.Conversation, error) {
	c, err := s.deps.Directory.Conversation(ctx, r.conversation)
	if errors.Is(err, directory.ErrNotFound) || err == nil && r.user != "" && !c.Admits(r.user) {
		return directory.Conversation{}, status.ErrNotTheirs.Withf("%s", status.NotTheirs(string(r.conversation)))
	}
	if err != nil {
		return directory.Conversation{}, fmt.Errorf("directory: %w", err)
	}
	return c, nil
}
