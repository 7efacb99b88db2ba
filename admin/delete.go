package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// maxPurges bounds how often delete purges while statuses still come in.
const maxPurges = 10

func (s *Service) delete(ctx context.Context, data []byte) (any, error) {
	var r DeleteRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	gone := s.dir.Delete(ctx, r.ID)
	if gone != nil && !s.goOn(ctx, r.ID, gone) {
		return nil, gone
	}
	purged, err := s.purgeAll(ctx, r.ID)
	if err != nil {
		s.opts.Logger.Error("admin: conversation is deleted, its statuses are not purged", "conversation", r.ID, "error", err)
		s.changed(ctx, audit.KindConversationDeleted, r.ID, "", "conversation deleted, its statuses are not purged")
		return nil, ErrNotPurged
	}
	if gone != nil && purged == 0 {
		return nil, gone
	}
	s.changed(ctx, audit.KindConversationDeleted, r.ID, "", fmt.Sprintf("conversation deleted, and its statuses (%d)", purged))
	return DeleteResponse{ID: r.ID, Purged: purged}, nil
}

// goOn tells whether a delete that finds nothing is one that was not finished.
func (s *Service) goOn(ctx context.Context, id status.ConversationID, err error) bool {
	if !errors.Is(err, directory.ErrNotFound) {
		return false
	}
	before, err := s.dir.WasDeleted(ctx, id)
	return err == nil && before
}

// clear purges what an earlier conversation of that id may have left.
func (s *Service) clear(ctx context.Context, id status.ConversationID) error {
	before, err := s.dir.WasDeleted(ctx, id)
	if err != nil || !before {
		return err
	}
	if _, err := s.purge(ctx, id); err != nil {
		s.opts.Logger.Error("admin: cannot purge what an earlier conversation left", "conversation", id, "error", err)
		return ErrUnavailable
	}
	return nil
}

// purgeAll purges until nothing more comes in and returns how many went.
func (s *Service) purgeAll(ctx context.Context, id status.ConversationID) (sum uint64, err error) {
	for i := range maxPurges {
		n, err := s.purge(ctx, id)
		if err != nil {
			return sum, err
		}
		sum += n
		if i > 0 && n == 0 {
			break
		}
		select {
		case <-time.After(s.opts.Settle):
		case <-ctx.Done():
			return sum, ctx.Err()
		}
	}
	return sum, nil
}

// purge removes the statuses of one conversation from the stream and returns how
// many there were, which nats.go's own Purge does not tell.
func (s *Service) purge(ctx context.Context, id status.ConversationID) (uint64, error) {
	if _, err := status.ParseConversationID(string(id)); err != nil {
		return 0, err // an id like "*" would purge far more
	}
	request, err := json.Marshal(map[string]string{"filter": status.ConversationSubjects(id)})
	if err != nil {
		return 0, err
	}
	m, err := s.nc.RequestWithContext(ctx, "$JS.API.STREAM.PURGE."+s.opts.Stream, request)
	if err != nil {
		return 0, fmt.Errorf("purge %s: %w", s.opts.Stream, err)
	}
	var answer struct {
		Error   *status.Error `json:"error"`
		Success bool          `json:"success"`
		Purged  uint64        `json:"purged"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return 0, fmt.Errorf("purge %s: %w", s.opts.Stream, err)
	}
	if answer.Error != nil {
		return 0, fmt.Errorf("purge %s: %w", s.opts.Stream, errors.New(answer.Error.Error()))
	}
	if !answer.Success {
		return 0, fmt.Errorf("purge %s: the server did not say success", s.opts.Stream)
	}
	return answer.Purged, nil
}
