package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// connectOptions is what the gateway reads of a browser's CONNECT.
type connectOptions struct {
	Verbose      bool   `json:"verbose"`
	Pedantic     bool   `json:"pedantic"`
	AuthToken    string `json:"auth_token"`
	User         string `json:"user"`
	Pass         string `json:"pass"`
	Name         string `json:"name"`
	Lang         string `json:"lang"`
	Version      string `json:"version"`
	Headers      bool   `json:"headers"`
	NoResponders bool   `json:"no_responders"`
}

// variants of a message: what the browser's CONNECT said that it can read, and
// what a stream of events gets.
const (
	variantPlain uint8 = iota
	variantHeaders
	variantEvent
	variantTruncated
)

// doConnect authenticates the browser. What it sent after CONNECT is handled
// once there is a verdict.
func (s *webSocket) doConnect(raw []byte) error {
	var opts connectOptions
	if err := json.Unmarshal(raw, &opts); err != nil {
		return refusal.End(refusal.CloseDenied("CONNECT is not valid JSON"))
	}
	if opts.AuthToken == "" {
		opts.AuthToken = opts.Pass
	}
	if opts.AuthToken == "" {
		opts.AuthToken = s.cookie
	}
	opts.Pass = ""
	if opts.AuthToken == "" {
		return refusal.End(refusal.CloseDenied(refusal.ReasonNoToken))
	}
	var join status.ConversationID
	if opts.User != "" {
		c, err := status.ParseConversationID(opts.User)
		if err != nil {
			return refusal.End(refusal.CloseDenied(err.Error()))
		}
		join = c
	}
	s.connect = opts
	if opts.Headers {
		s.variant = variantHeaders
	}
	if err := s.login(s.ctx, opts, join); err != nil {
		return err
	}
	s.startResumption()
	s.connected, s.parser.ConnectOnly = true, false
	s.ok()
	return nil
}

// login finds the credential of the token and takes its grant.
func (s *socket) login(ctx context.Context, opts connectOptions, join status.ConversationID) error {
	ctx, cancel := context.WithTimeout(ctx, s.gateway.opts.LoginTimeout)
	defer cancel()
	proof, err := s.screen(ctx, opts.AuthToken, join)
	if err != nil {
		return s.refusedLogin(err)
	}
	cred := s.gateway.credential(s.credentialKey(opts.AuthToken))
	if err := cred.ensure(ctx, s, opts, need{proof: proof, join: join, likely: s.gateway.resumes(proof, opts.Name), paid: true}); err != nil {
		cred.release()
		return s.refusedLogin(err)
	}
	if !cred.attach(s) {
		return refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
	}
	grant, _ := s.held()
	if v := s.place.loggedIn(grant.User); v.Refused() {
		return refusal.End(refusal.CloseLimited(refusal.ReasonUserConnections(v), refusal.RetryAfterOthers))
	}
	s.startMeters()
	return nil
}

// refusedLogin ends the socket with why its login failed.
func (s *socket) refusedLogin(err error) error {
	var denial *session.Denial
	var limited limitedLogin
	switch {
	case errors.As(err, &limited):
		return refusal.End(refusal.CloseLimited(limited.Error(), limited.RetryAfterSeconds()))
	case errors.As(err, &denial) && denial.Final:
		s.denied(denial)
		why := refusal.CloseDenied(denial.Reason)
		why.User = denial.User
		return refusal.End(why)
	}
	if r := grantRefusal(err); r.Is() {
		s.note("", r)
		return refusal.End(refusal.CloseLimited(r.Reason, cmp.Or(r.RetryAfter, refusal.RetryAfterOthers)))
	}
	s.gateway.opts.Logger.Warn("no verdict for a browser", "remote", s.remote, "error", err)
	return refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
}

// credentialKey finds the grant that a token already holds. Only a hash of the
// token is kept. A socket that keeps its own link holds its grant alone.
func (s *socket) credentialKey(token string) credentialKey {
	key := credentialKey{hash: sha256.Sum256([]byte(token))}
	if s.gateway.opts.KeepLinks {
		key.socket = s.id
	}
	return key
}

// asLogin is the browser as those see it who decide about it.
func (s *socket) asLogin(opts connectOptions, proof session.Proof) session.Login {
	return session.Login{
		Token: opts.AuthToken, User: opts.User,
		Name: opts.Name, Lang: opts.Lang, Version: opts.Version, Remote: s.remote, Proof: proof,
	}
}

// expiresIn is how long until the time t, at least nothing.
func expiresIn(t, now time.Time) time.Duration { return max(0, t.Sub(now)) }
