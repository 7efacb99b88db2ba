package natsocket

import (
	"encoding/json"

	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// connectOptions is what is read of a browser's CONNECT.
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

// Variants of a message: what the browser's CONNECT said that it can read.
const (
	variantPlain uint8 = iota
	variantHeaders
)

// doConnect authenticates the browser. What it sent after CONNECT is handled
// once there is a verdict.
func (s *Socket) doConnect(raw []byte) error {
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
	s.verbose, s.pedantic = opts.Verbose, opts.Pedantic
	if opts.Headers {
		s.variant, s.noResponders = variantHeaders, opts.NoResponders
	}
	login := session.Login{Token: opts.AuthToken, User: opts.User, Name: opts.Name, Lang: opts.Lang, Version: opts.Version}
	if err := s.LogIn(login, join); err != nil {
		return err
	}
	s.BeginResumption(func() { s.send([]byte(natsproto.PingLine)) })
	s.connected, s.parser.ConnectOnly = true, false
	s.ok()
	return nil
}
