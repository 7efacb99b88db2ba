package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
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
func (s *webSocket) renewToken(reply, token string) {
	g, err := s.switchToken(token)
	answer := tokenAnswer{}
	var denial *session.Denial
	var limited limitedLogin
	switch {
	case err == nil:
		if !g.Expires.IsZero() {
			t := g.Expires.UTC()
			left := max(0, int(time.Until(t)/time.Second))
			answer.Expires, answer.ExpiresIn = &t, &left
		}
	case errors.As(err, &denial) && denial.Final:
		s.denied(denial)
		answer.Error = &tokenError{Code: 401, Description: denial.Reason}
	case errors.As(err, &limited):
		answer.Error = &tokenError{Code: 429, Description: limited.Error()}
	case grantRefusal(err).Is():
		r := grantRefusal(err)
		s.note(status.GatewayToken, r)
		answer.Error = &tokenError{Code: 429, Description: r.Reason}
	default:
		s.gateway.opts.Logger.Warn("no verdict for a fresh token", "remote", s.remote, "error", err)
		answer.Error = &tokenError{Code: 503, Description: refusal.ReasonUnavailable}
	}
	if reply == "" {
		return
	}
	if body, err := encodeJSON(answer); err == nil {
		s.inbox(reply, nil, body)
	}
}

// switchToken moves the socket to the credential of the token.
func (s *webSocket) switchToken(token string) (*session.Grant, error) {
	if token == "" {
		return nil, &session.Denial{Reason: refusal.ReasonNoToken, Final: true}
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.gateway.opts.LoginTimeout)
	defer cancel()
	proof, err := s.screen(ctx, token, "")
	if err != nil {
		return nil, err
	}
	opts := s.loginOptions()
	opts.AuthToken, opts.User = token, ""
	held, _ := s.held()
	old := s.currentCredential()
	fresh := s.gateway.credential(s.credentialKey(token))
	if fresh == old {
		fresh.release()
		return held, nil
	}
	// What the socket uses now it goes on using: the new grant is asked for it.
	used := map[status.ConversationID]struct{}{}
	s.addConversations(used)
	n := need{proof: proof, user: held.User, conversations: slices.Collect(maps.Keys(used)), paid: true}
	if err := fresh.ensure(ctx, &s.socket, opts, n); err != nil {
		fresh.release()
		return nil, err
	}
	s.mu.Lock()
	s.connect = opts
	s.mu.Unlock()
	attached := fresh.attach(&s.socket)
	old.detach(&s.socket)
	if !attached {
		s.close(refusal.CloseAccessLost())
	}
	g, _ := s.held()
	return g, nil
}
