package authcallout

import (
	"fmt"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
)

// sign makes the user JWT of a grant.
func (s *Service) sign(userNkey string, g grant) (string, error) {
	userJWT, err := s.opts.claims(userNkey, g).Encode(s.signer)
	if err != nil {
		return "", fmt.Errorf("sign the grant: %w", err)
	}
	return userJWT, nil
}

// answer sends the server its answer: the user JWT, or why there is none, which
// the server logs and keeps from the client.
func (s *Service) answer(m *nats.Msg, req *jwt.AuthorizationRequestClaims, userJWT, reason string) error {
	c := jwt.NewAuthorizationResponseClaims(req.UserNkey)
	c.Audience = req.Server.ID
	c.Jwt, c.Error = userJWT, reason
	token, err := c.Encode(s.signer)
	if err != nil {
		return fmt.Errorf("sign the answer: %w", err)
	}
	data := []byte(token)
	if req.Server.XKey != "" {
		if data, err = s.deps.XKey.Seal(data, req.Server.XKey); err != nil {
			return fmt.Errorf("encrypt the answer: %w", err)
		}
	}
	if err := m.Respond(data); err != nil {
		return fmt.Errorf("send the answer: %w", err)
	}
	return nil
}

// refuse denies without the cost of a signature: nats-server takes an empty
// answer for a denial (2.15.2).
func (s *Service) refuse(m *nats.Msg) {
	if err := m.Respond(nil); err != nil {
		s.opts.Logger.Warn("authorization: cannot send the answer", "error", err)
	}
}
