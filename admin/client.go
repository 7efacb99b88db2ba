package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// clientTimeout bounds a request whose context has no deadline. It is above the
// longest time that the service allows itself.
const clientTimeout = 90 * time.Second

// Client asks the admin service. Safe for concurrent use. What the service
// refuses is a *status.Error: compare with errors.Is and the variables of this
// package. Nobody there is ErrNoService.
type Client struct {
	nc   *nats.Conn
	name string
}

// NewClient returns a client on a connection with the key of that name: a named one,
// or OperatorName for the operator's of DIR/keys. The connection stays the caller's.
func NewClient(nc *nats.Conn, name string) *Client { return &Client{nc, name} }

// Create makes a conversation.
func (c *Client) Create(ctx context.Context, r CreateRequest) (directory.Conversation, error) {
	return c.one(ctx, "conversation.create", r)
}

// Show returns a conversation.
func (c *Client) Show(ctx context.Context, id status.ConversationID) (directory.Conversation, error) {
	return c.one(ctx, "conversation.show", ShowRequest{id})
}

// Subscribers returns a conversation and who listens in it on the node that
// answers; nil when that node has no gateway.
func (c *Client) Subscribers(ctx context.Context, id status.ConversationID) (directory.Conversation, *session.Use, error) {
	var answer ConversationResponse
	err := c.ask(ctx, "conversation.show", ShowRequest{id}, &answer)
	return answer.Conversation, answer.Subscribers, err
}

// AddCategory gives the conversation a category of its own. Doing it twice is fine.
func (c *Client) AddCategory(ctx context.Context, id status.ConversationID, name status.Category) (directory.Conversation, error) {
	return c.one(ctx, "category.add", CategoryRequest{id, name})
}

// RetireCategory takes a category of its own from the conversation. Doing it
// twice is fine.
func (c *Client) RetireCategory(ctx context.Context, id status.ConversationID, name status.Category) (directory.Conversation, error) {
	return c.one(ctx, "category.retire", CategoryRequest{id, name})
}

// Sessions returns the sessions of the user, "" for everybody's, by id: those of
// the node that answers. It asks for as many pages as there are.
func (c *Client) Sessions(ctx context.Context, user status.UserID) ([]session.Info, error) {
	list := []session.Info{}
	r := SessionsRequest{User: user}
	for {
		var page SessionsResponse
		if err := c.ask(ctx, "session.list", r, &page); err != nil {
			return nil, err
		}
		list = append(list, page.Sessions...)
		if !page.More || len(page.Sessions) == 0 {
			return list, nil
		}
		r.After = page.Sessions[len(page.Sessions)-1].ID
	}
}

// Kick ends the sessions of the user and returns how many there were.
func (c *Client) Kick(ctx context.Context, user status.UserID, reason string) (int, error) {
	var answer KickResponse
	err := c.ask(ctx, "session.kick", KickRequest{user, reason}, &answer)
	return answer.Kicked, err
}

// Why explains what would be decided now.
func (c *Client) Why(ctx context.Context, q session.Question) (session.Explanation, error) {
	var answer session.Explanation
	err := c.ask(ctx, "why", q, &answer)
	return answer, err
}

// CreateKey makes a named key of a public key. Doing it twice is fine.
func (c *Client) CreateKey(ctx context.Context, r CreateKeyRequest) (KeyInfo, error) {
	var answer KeyResponse
	err := c.ask(ctx, "key.create", r, &answer)
	return answer.Key, err
}

// EndKey ends a named key: its connections are closed, on all nodes.
func (c *Client) EndKey(ctx context.Context, name string) (KeyInfo, error) {
	var answer KeyResponse
	err := c.ask(ctx, "key.end", EndKeyRequest{name}, &answer)
	return answer.Key, err
}

// Keys returns all keys, those of DIR/keys first. It asks for as many pages as
// there are.
func (c *Client) Keys(ctx context.Context) ([]KeyInfo, error) {
	list := []KeyInfo{}
	r := KeysRequest{}
	for {
		var page KeysResponse
		if err := c.ask(ctx, "key.list", r, &page); err != nil {
			return nil, err
		}
		list = append(list, page.Keys...)
		if !page.More || len(page.Keys) == 0 {
			return list, nil
		}
		r.After = page.Keys[len(page.Keys)-1].Name
	}
}

// Add makes the user a member. Doing it twice is fine.
func (c *Client) Add(ctx context.Context, id status.ConversationID, member status.UserID) (directory.Conversation, error) {
	return c.one(ctx, "conversation.add", MemberRequest{id, member})
}

// Remove ends that the user is a member. Doing it twice is fine.
func (c *Client) Remove(ctx context.Context, id status.ConversationID, member status.UserID) (directory.Conversation, error) {
	return c.one(ctx, "conversation.remove", MemberRequest{id, member})
}

// Delete removes a conversation and its statuses, and returns how many those were.
func (c *Client) Delete(ctx context.Context, id status.ConversationID) (purged uint64, err error) {
	var answer DeleteResponse
	err = c.ask(ctx, "conversation.delete", DeleteRequest{id}, &answer)
	return answer.Purged, err
}

// List returns the conversations of owner by id; all of them when owner is
// empty. It asks for as many pages as there are.
func (c *Client) List(ctx context.Context, owner status.UserID) ([]directory.Conversation, error) {
	list := []directory.Conversation{}
	r := ListRequest{Owner: owner}
	for {
		var page ListResponse
		if err := c.ask(ctx, "conversation.list", r, &page); err != nil {
			return nil, err
		}
		list = append(list, page.Conversations...)
		if !page.More || len(page.Conversations) == 0 {
			return list, nil
		}
		r.After = page.Conversations[len(page.Conversations)-1].ID
	}
}

func (c *Client) one(ctx context.Context, subject string, request any) (directory.Conversation, error) {
	var answer ConversationResponse
	err := c.ask(ctx, subject, request, &answer)
	return answer.Conversation, err
}

func (c *Client) ask(ctx context.Context, subject string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return c.send(ctx, subject, body, answer)
}

// send asks admin.<subject>.<name>.
func (c *Client) send(ctx context.Context, subject string, body []byte, answer any) error {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, clientTimeout)
		defer cancel()
	}
	m, err := c.nc.RequestWithContext(ctx, "admin."+subject+"."+c.name, body)
	if errors.Is(err, nats.ErrNoResponders) {
		return ErrNoService
	}
	if err != nil {
		return fmt.Errorf("admin.%s: %w", subject, err)
	}
	if code := m.Header.Get(micro.ErrorCodeHeader); code != "" {
		return refusal(code, m)
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return fmt.Errorf("admin.%s: the answer is not understood: %w", subject, err)
	}
	return nil
}

// refusal is the error of an answer; the headers must do when there is no body.
func refusal(code string, m *nats.Msg) *status.Error {
	var body errorResponse
	if json.Unmarshal(m.Data, &body) == nil && body.Error != nil {
		return body.Error
	}
	n, err := strconv.Atoi(code)
	if err != nil {
		n = ErrInternal.Code
	}
	return &status.Error{Code: n, ErrCode: ErrInternal.ErrCode, Description: m.Header.Get(micro.ErrorHeader)}
}
