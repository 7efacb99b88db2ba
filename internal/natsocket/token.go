package natsocket

import (
	"errors"
	"time"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
)

// tokenAnswer is what a request to gateway.token gets.
type tokenAnswer struct {
	Expires   *time.Time  `json:"expires,omitempty"`    // when the new grant ends, RFC 3339
	ExpiresIn *int        `json:"expires_in,omitempty"` // in how many seconds: the browser's clock may be wrong
	Error     *tokenError `json:"error,omitempty"`
}

type tokenError struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

// renewToken takes a fresh token of the same user: the socket goes on with the
// new token's grant. A token that is refused changes nothing.
func (s *Socket) renewToken(reply, token string) {
	g, err := s.Switch(token)
	answer := tokenAnswer{}
	var denial *session.Denial
	switch r := access.Refusal(err); {
	case err == nil:
		if !g.Expires.IsZero() {
			t := g.Expires.UTC()
			left := max(0, int(time.Until(t)/time.Second))
			answer.Expires, answer.ExpiresIn = &t, &left
		}
	case errors.As(err, &denial) && denial.Final:
		answer.Error = &tokenError{Code: 401, Description: denial.Reason}
	case r.Is():
		answer.Error = &tokenError{Code: 429, Description: r.Reason}
	default:
		s.endpoint.opts.Logger.Warn("no verdict for a fresh token", "remote", s.Remote(), "error", err)
		answer.Error = &tokenError{Code: 503, Description: refusal.ReasonUnavailable}
	}
	if reply == "" {
		return
	}
	if body, err := encodeJSON(answer); err == nil {
		s.inbox(reply, nil, body)
	}
}
