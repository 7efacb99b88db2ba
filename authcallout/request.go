package authcallout

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/session"
)

// Names of the auth callout, as nats-server has them.
const (
	requestSubject  = "$SYS.REQ.USER.AUTH"
	requestAudience = "nats-authorization-request"
	serverXKey      = "Nats-Server-Xkey" // header: the key that the answer is encrypted to
)

// errForeign: the request is another server's, whose callout will answer it.
var errForeign = errors.New("the request is another server's")

// seal is the key that a server encrypts its requests with; the next server has
// another.
type seal struct{ server, xkey string }

// claim is what a request says of its origin before anything is verified.
type claim struct {
	Request struct {
		Server struct {
			ID string `json:"id"`
		} `json:"server_id"`
		Client struct {
			ID    uint64 `json:"id"`
			Host  string `json:"host"`
			Nonce string `json:"nonce"`
		} `json:"client_info"`
		Connect struct {
			Nkey      string `json:"nkey"`
			Signature string `json:"sig"`
		} `json:"connect_opts"`
		UserNkey string `json:"user_nkey"`
	} `json:"nats"`
}

func (c claim) key() session.Key {
	return session.Key{ServerID: c.Request.Server.ID, ClientID: c.Request.Client.ID}
}

func (c claim) knock() knock {
	r := c.Request
	return knock{public: r.Connect.Nkey, signature: r.Connect.Signature, nonce: r.Client.Nonce}
}

// open returns the request's JWT, decrypted when we have an xkey. A request has
// to be encrypted if and only if we have one. It is errForeign when the header
// names the key of another server.
func (s *Service) open(m *nats.Msg) (token, sender string, err error) {
	sender = m.Header.Get(serverXKey)
	switch {
	case s.deps.XKey == nil && sender != "":
		return "", "", fmt.Errorf("%w: it is encrypted and there is no xkey", errUnreadable)
	case s.deps.XKey == nil:
		return string(m.Data), "", nil
	case sender == "":
		return "", "", fmt.Errorf("%w: it is not encrypted although there is an xkey", errUnreadable)
	}
	if known := s.seal.Load(); known != nil && known.server == s.deps.ServerID() && known.xkey != sender {
		return "", "", errForeign
	}
	plain, err := s.deps.XKey.Open(m.Data, sender)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return string(plain), sender, nil
}

// peek reads a request's origin without verifying it: to pass over other
// servers' requests, and to turn requests away, at little cost.
func (s *Service) peek(token string) (claim, error) { return peek(token, s.deps.ServerID()) }

func peek(token, serverID string) (claim, error) {
	var c claim
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, fmt.Errorf("%w: it is no JWT", errUnreadable)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if c.Request.Server.ID != serverID {
		return c, errForeign
	}
	return c, nil
}

// verify decodes the request and checks that it is our server's: signed by the
// key that the server's id is, made for a callout, about a user key, and sent by
// the server that it was encrypted by.
func (s *Service) verify(token, sender string) (*jwt.AuthorizationRequestClaims, error) {
	req, err := jwt.DecodeAuthorizationRequestClaims(token) // verifies against the issuer it names
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	// Its expiry is not looked at: our own timeout is shorter, and exact.
	switch {
	case !strings.HasPrefix(req.Issuer, "N") || req.Issuer != req.Server.ID:
		return nil, fmt.Errorf("%w: its issuer is not the server", errUnreadable)
	case req.Server.ID != s.deps.ServerID():
		return nil, errForeign
	case req.Audience != requestAudience:
		return nil, fmt.Errorf("%w: its audience is not %s", errUnreadable, requestAudience)
	case !nkeys.IsValidPublicUserKey(req.UserNkey):
		return nil, fmt.Errorf("%w: it names no user key", errUnreadable)
	case req.Server.XKey != sender:
		return nil, fmt.Errorf("%w: it was not encrypted by the server", errUnreadable)
	}
	if sender != "" {
		s.seal.Store(&seal{server: req.Server.ID, xkey: sender})
	}
	return req, nil
}
