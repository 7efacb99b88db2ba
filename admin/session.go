package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

const (
	// MaxReasonBytes bounds the reason of a kick: a close frame holds no more
	// (RFC 6455, section 5.5).
	MaxReasonBytes = 123
	// maxReasonBytes bounds what a record says of a change.
	maxReasonBytes = 512
	// maxSubjectBytes bounds a subject or a queue group that is asked about.
	maxSubjectBytes = 4096
)

// changed writes a change into the log and the audit.
func (s *Service) changed(ctx context.Context, kind audit.Kind, id status.ConversationID, user status.UserID, what string) {
	about := []any{"actor", actorOf(ctx)}
	if id != "" {
		about = append(about, "conversation", string(id))
	}
	if user != "" {
		about = append(about, "user", string(user))
	}
	s.opts.Logger.Info("admin: "+strings.ReplaceAll(string(kind), "_", " "), append(about, "what", what)...)
	s.opts.Audit.Record(audit.Event{Kind: kind, Actor: actorOf(ctx), Conversation: id, User: user, Reason: what})
}

// rawSessions is a SessionsResponse whose sessions are JSON already.
type rawSessions struct {
	Sessions []json.RawMessage `json:"sessions"`
	More     bool              `json:"more,omitempty"`
}

func (s *Service) listSessions(_ context.Context, data []byte) (any, error) {
	var r SessionsRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	limit, err := pageLimit(r.Limit)
	if err != nil {
		return nil, err
	}
	list := s.opts.Sessions.Sessions(session.Filter{User: r.User, After: r.After, Limit: limit + 1})
	bodies, more, err := page(list, limit, s.room())
	return rawSessions{Sessions: bodies, More: more}, err
}

func (s *Service) kick(ctx context.Context, data []byte) (any, error) {
	var r KickRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	if _, err := status.ParseUserID(string(r.User)); err != nil {
		return nil, ErrBadRequest.Withf("%s", err)
	}
	if len(r.Reason) > MaxReasonBytes || strings.ContainsFunc(r.Reason, unicode.IsControl) {
		return nil, ErrBadRequest.Withf("reason has %d bytes: use one line of at most %d", len(r.Reason), MaxReasonBytes)
	}
	n := s.opts.Sessions.Kick(r.User, r.Reason, actorOf(ctx))
	what := fmt.Sprintf("sessions ended: %d", n)
	if r.Reason != "" {
		what += ": " + r.Reason
	}
	s.changed(ctx, audit.KindSessionsEnded, "", r.User, what)
	return KickResponse{User: r.User, Kicked: n}, nil
}

func (s *Service) why(ctx context.Context, data []byte) (any, error) {
	var q session.Question
	if err := parse(data, &q); err != nil {
		return nil, err
	}
	if _, err := status.ParseUserID(string(q.User)); err != nil {
		return nil, ErrBadRequest.Withf("%s", err)
	}
	if err := onTheWire("subject", q.Subject); err != nil {
		return nil, err
	}
	if q.Queue != "" {
		if err := onTheWire("queue", q.Queue); err != nil {
			return nil, err
		}
	}
	switch q.Action {
	case "", session.Subscribe, session.Publish:
	default:
		return nil, ErrBadRequest.Withf("action %s is not known: use subscribe or publish", status.Quote(q.Action))
	}
	x, err := s.opts.Explainer.Explain(ctx, q)
	var denial *session.Denial
	if errors.As(err, &denial) {
		return nil, ErrUnavailable.Withf("%s", denial.Reason)
	}
	return x, err
}

// onTheWire refuses what no SUB or PUB can hold.
func onTheWire(what, word string) error {
	switch {
	case word == "":
		return ErrBadRequest.Withf("%s is missing", what)
	case len(word) > maxSubjectBytes:
		return ErrBadRequest.Withf("%s has %d bytes: at most %d fit into a line", what, len(word), maxSubjectBytes)
	case strings.ContainsFunc(word, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return ErrBadRequest.Withf("%s %s has white space in it", what, status.Quote(word))
	}
	return nil
}
