package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/internal/text"
	"github.com/statuswire/statuswire/status"
)

// CreateRequest asks for a new conversation.
type CreateRequest struct {
	ID         status.ConversationID `json:"id"`
	Owner      status.UserID         `json:"owner"`
	Members    []status.UserID       `json:"members,omitempty"`
	Categories []status.Category     `json:"categories,omitempty"` // beside the default ones
}

// ShowRequest asks for one conversation.
type ShowRequest struct {
	ID status.ConversationID `json:"id"`
}

// MemberRequest adds or removes one member.
type MemberRequest struct {
	ID     status.ConversationID `json:"id"`
	Member status.UserID         `json:"member"`
}

// CategoryRequest adds or retires one category.
type CategoryRequest struct {
	ID       status.ConversationID `json:"id"`
	Category status.Category       `json:"category"`
}

// ConversationResponse answers create, show, add, remove and what changes
// categories.
type ConversationResponse struct {
	Conversation directory.Conversation `json:"conversation"`
	// Subscribers, of show only, are who listens on the node that answers.
	Subscribers *session.Use `json:"subscribers,omitempty"`
}

// SessionsRequest asks for one page of sessions, by id.
type SessionsRequest struct {
	User  status.UserID `json:"user,omitempty"`  // empty: everybody's
	After uint64        `json:"after,omitempty"` // the last id of the page before
	Limit int           `json:"limit,omitempty"` // at most 1,000, which is the default
}

// SessionsResponse is one page; it may be shorter than the limit although there is more.
type SessionsResponse struct {
	Sessions []session.Info `json:"sessions"`
	More     bool           `json:"more,omitempty"`
}

// KickRequest ends the sessions of a user.
type KickRequest struct {
	User status.UserID `json:"user"`
	// Reason is what the browsers are told, in the close frame: at most
	// MaxReasonBytes. Empty: "connection ended by an operator: reconnect".
	Reason string `json:"reason,omitempty"`
}

// KickResponse says how many sessions were ended.
type KickResponse struct {
	User   status.UserID `json:"user"`
	Kicked int           `json:"kicked"`
}

// DeleteRequest asks to delete a conversation and its statuses.
type DeleteRequest struct {
	ID status.ConversationID `json:"id"`
}

// DeleteResponse says how many statuses went with the conversation.
type DeleteResponse struct {
	ID     status.ConversationID `json:"id"`
	Purged uint64                `json:"purged"`
}

// ListRequest asks for one page of conversations, by id.
type ListRequest struct {
	Owner status.UserID         `json:"owner,omitempty"` // empty: of all
	After status.ConversationID `json:"after,omitempty"` // the last id of the page before
	Limit int                   `json:"limit,omitempty"` // at most 1,000, which is the default
}

// ListResponse is one page; it may be shorter than the limit although there is more.
type ListResponse struct {
	Conversations []directory.Conversation `json:"conversations"`
	More          bool                     `json:"more,omitempty"`
}

// ImportResponse is what became of the lines of an import. Empty lines count
// only as line numbers.
type ImportResponse struct {
	Lines     int         `json:"lines"` // all, empty ones included
	Created   int         `json:"created"`
	Updated   int         `json:"updated"`
	Unchanged int         `json:"unchanged"`
	Failed    int         `json:"failed"`
	Errors    []LineError `json:"errors,omitempty"` // the first maxLineErrors of a request
}

// LineError is why one line of an import failed.
type LineError struct {
	Line int           `json:"line"` // from 1
	Err  *status.Error `json:"error"`
}

// Error implements error.
func (e LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Err.Description) }

// Unwrap gives the error without the line.
func (e LineError) Unwrap() error { return e.Err }

type errorResponse struct {
	Error *status.Error `json:"error"`
}

// parse reads one JSON object into v. The error is an ErrBadRequest. No data at
// all is an empty object.
func parse(data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	if fault := text.Check(data); fault != nil {
		// encoding/json would read it as U+FFFD.
		at := ""
		if fault.Line > 1 {
			at = fmt.Sprintf("line %d, ", fault.Line)
		}
		return ErrBadRequest.Withf("request is not understood: %s%v: write it as UTF-8", at, fault)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return ErrBadRequest.Withf("request is not understood: %s", jsonFault(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrBadRequest.Withf("request is not understood: there is something after the JSON object")
	}
	return nil
}

// jsonFault words an error of encoding/json for who wrote the JSON.
func jsonFault(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "":
		return "it is not a JSON object"
	case errors.As(err, &kind):
		return fmt.Sprintf("field %q cannot be a JSON %s", kind.Field, kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return "the JSON ends too early"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}
