package admin

import (
	"context"
	"encoding/json"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// maxPage is the greatest and the default number of conversations of one page.
const maxPage = 1000

func (s *Service) create(ctx context.Context, data []byte) (any, error) {
	var r CreateRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	c := directory.Conversation{ID: r.ID, Owner: r.Owner, Members: r.Members, Categories: r.Categories}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := s.clear(ctx, r.ID); err != nil {
		return nil, err
	}
	if err := s.dir.Create(ctx, c); err != nil {
		return nil, err
	}
	s.opts.Logger.Info("admin: conversation created", "conversation", r.ID)
	return s.conversation(ctx, r.ID)
}

func (s *Service) show(ctx context.Context, data []byte) (any, error) {
	var r ShowRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	if _, err := status.ParseConversationID(string(r.ID)); err != nil {
		return nil, ErrInvalid.Withf("%s", err)
	}
	return s.conversation(ctx, r.ID)
}

func (s *Service) conversation(ctx context.Context, id status.ConversationID) (any, error) {
	c, err := s.dir.Conversation(ctx, id)
	return ConversationResponse{c}, err
}

func (s *Service) add(ctx context.Context, data []byte) (any, error) {
	return s.member(ctx, data, "member added", s.dir.AddMember)
}

func (s *Service) remove(ctx context.Context, data []byte) (any, error) {
	return s.member(ctx, data, "member removed", s.dir.RemoveMember)
}

func (s *Service) member(ctx context.Context, data []byte, what string, change func(context.Context, status.ConversationID, status.UserID) (directory.Conversation, error)) (any, error) {
	var r MemberRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	c, err := change(ctx, r.ID, r.Member)
	if err != nil {
		return nil, err
	}
	s.opts.Logger.Info("admin: "+what, "conversation", r.ID, "member", r.Member)
	return ConversationResponse{c}, nil
}

// rawPage is a ListResponse whose conversations are JSON already.
type rawPage struct {
	Conversations []json.RawMessage `json:"conversations"`
	More          bool              `json:"more,omitempty"`
}

func (s *Service) list(ctx context.Context, data []byte) (any, error) {
	var r ListRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	if r.Limit < 0 || r.Limit > maxPage {
		return nil, ErrBadRequest.Withf("limit %d is out of range: use 1 to %d", r.Limit, maxPage)
	}
	if r.Limit == 0 {
		r.Limit = maxPage
	}
	list, err := s.dir.Page(ctx, r.Owner, r.After, r.Limit+1)
	if err != nil {
		return nil, err
	}
	// At least one, else as many as fill half a message.
	page := rawPage{Conversations: []json.RawMessage{}}
	room := int(s.nc.MaxPayload() / 2)
	for i, c := range list {
		body, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		room -= len(body) + 1
		if i == r.Limit || i > 0 && room < 0 {
			page.More = true
			break
		}
		page.Conversations = append(page.Conversations, body)
	}
	return page, nil
}
