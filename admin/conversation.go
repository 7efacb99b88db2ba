package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// maxPage is the greatest and the default number of conversations or sessions of
// one page.
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
	s.changed(ctx, audit.KindConversationCreated, r.ID, r.Owner, "conversation created"+withMembers(r.Members))
	return s.conversation(ctx, r.ID)
}

// withMembers is how a record goes on that tells who may see a conversation, beside
// its owner.
func withMembers(members []status.UserID) string {
	text := ""
	for _, m := range members {
		if len(text) > maxReasonBytes {
			break // a record holds no more
		}
		text += " " + string(m)
	}
	if text == "" {
		return ""
	}
	return ", members:" + text
}

func (s *Service) show(ctx context.Context, data []byte) (any, error) {
	var r ShowRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	if _, err := status.ParseConversationID(string(r.ID)); err != nil {
		return nil, ErrInvalid.Withf("%s", err)
	}
	c, err := s.dir.Conversation(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	answer := ConversationResponse{Conversation: c}
	if s.opts.Sessions != nil {
		use := s.opts.Sessions.ConversationUse(r.ID)
		answer.Subscribers = &use
	}
	return answer, nil
}

func (s *Service) conversation(ctx context.Context, id status.ConversationID) (any, error) {
	c, err := s.dir.Conversation(ctx, id)
	return ConversationResponse{Conversation: c}, err
}

func (s *Service) add(ctx context.Context, data []byte) (any, error) {
	return s.member(ctx, data, audit.KindMemberAdded, "member added", s.dir.AddMember)
}

func (s *Service) remove(ctx context.Context, data []byte) (any, error) {
	return s.member(ctx, data, audit.KindMemberRemoved, "member removed", s.dir.RemoveMember)
}

func (s *Service) member(ctx context.Context, data []byte, kind audit.Kind, what string, change func(context.Context, status.ConversationID, status.UserID) (directory.Conversation, error)) (any, error) {
	var r MemberRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	c, err := change(ctx, r.ID, r.Member)
	if err != nil {
		return nil, err
	}
	s.changed(ctx, kind, r.ID, r.Member, what)
	return ConversationResponse{Conversation: c}, nil
}

func (s *Service) addCategory(ctx context.Context, data []byte) (any, error) {
	return s.category(ctx, data, audit.KindCategoryAdded, "category added", s.dir.AddCategory)
}

func (s *Service) retireCategory(ctx context.Context, data []byte) (any, error) {
	return s.category(ctx, data, audit.KindCategoryRetired, "category retired", s.dir.RetireCategory)
}

func (s *Service) category(ctx context.Context, data []byte, kind audit.Kind, what string, change func(context.Context, status.ConversationID, status.Category) (directory.Conversation, error)) (any, error) {
	var r CategoryRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	c, err := change(ctx, r.ID, r.Category)
	if err != nil {
		return nil, err
	}
	s.changed(ctx, kind, r.ID, "", fmt.Sprintf("%s: %s", what, r.Category))
	return ConversationResponse{Conversation: c}, nil
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
	limit, err := pageLimit(r.Limit)
	if err != nil {
		return nil, err
	}
	list, err := s.dir.Page(ctx, r.Owner, r.After, limit+1)
	if err != nil {
		return nil, err
	}
	bodies, more, err := page(list, limit, s.room())
	return rawPage{Conversations: bodies, More: more}, err
}

func pageLimit(asked int) (int, error) {
	if asked < 0 || asked > maxPage {
		return 0, ErrBadRequest.Withf("limit %d is out of range: use 1 to %d", asked, maxPage)
	}
	return cmp.Or(asked, maxPage), nil
}

// room is how much of a message a page may fill.
func (s *Service) room() int { return int(s.nc.MaxPayload() / 2) }

// page writes the first limit of the list as JSON: at least one, else as many as
// there is room for. more is true when some are left.
func page[T any](list []T, limit, room int) (bodies []json.RawMessage, more bool, err error) {
	bodies = []json.RawMessage{}
	for i, v := range list {
		body, err := json.Marshal(v)
		if err != nil {
			return nil, false, err
		}
		room -= len(body) + 1
		if i == limit || i > 0 && room < 0 {
			return bodies, true, nil
		}
		bodies = append(bodies, body)
	}
	return bodies, false, nil
}
