package authcallout

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/session"
)

// Keyring finds named keys by their public key.
type Keyring interface {
	ByPublic(public string) (keyring.Key, bool)
}

// Connections are those of our own server to its clients.
type Connections interface {
	// Alive is true while the client of that id is connected to that server.
	Alive(serverID string, clientID uint64) bool
	// Disconnect closes the client's connection, whether it has logged in or not.
	Disconnect(serverID string, clientID uint64)
}

// Pattern is what nats.conf gives to the keys of one role.
type Pattern struct {
	Account     string
	Permissions jwt.Permissions
}

// NamedKeys is what is needed to decide about them.
type NamedKeys struct {
	Keyring     Keyring
	Connections Connections
	// Patterns are what each role may do. One that is missing: its keys are denied.
	Patterns map[keyring.Role]Pattern
}

func (n *NamedKeys) validate() error {
	if n == nil {
		return nil
	}
	if n.Keyring == nil || n.Connections == nil {
		return errors.New("authcallout: named keys need a keyring and connections")
	}
	for role, p := range n.Patterns {
		if p.Account == "" || len(p.Permissions.Pub.Allow) == 0 || len(p.Permissions.Sub.Allow) == 0 {
			return fmt.Errorf("authcallout: the role %s has no account, or no allow list", role)
		}
	}
	return nil
}

// knock is what a client with an nkey says of itself in a request, verified or not.
type knock struct {
	public, signature string // of CONNECT
	nonce             string // of the server's INFO
}

func knockOf(req *jwt.AuthorizationRequestClaims) knock {
	return knock{
		public: req.ConnectOptions.Nkey, signature: req.ConnectOptions.SignedNonce,
		nonce: req.ClientInformation.Nonce,
	}
}

// knownKey is the named key that the knock is of: the key is there, and whoever
// knocks has signed this connection's nonce with its seed.
//
// The look-up comes first: a stranger's key costs no verification. That a public
// key is known may be learned from it; it is public.
func (s *Service) knownKey(k knock) (keyring.Key, error) {
	if s.deps.Named == nil {
		return keyring.Key{}, errUnknownKey
	}
	key, ok := s.deps.Named.Keyring.ByPublic(k.public)
	if !ok {
		return keyring.Key{}, errUnknownKey
	}
	if k.nonce == "" || !signed(k) {
		return keyring.Key{}, errBadSignature
	}
	return key, nil
}

// signed verifies the signature of the nonce as nats-server does (2.15.2, auth.go).
func signed(k knock) bool {
	if len(k.signature) > base64.StdEncoding.EncodedLen(ed25519.SignatureSize) {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(k.signature)
	if err != nil {
		if signature, err = base64.StdEncoding.DecodeString(k.signature); err != nil {
			return false
		}
	}
	public, err := nkeys.FromPublicKey(k.public)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return false
	}
	return public.Verify([]byte(k.nonce), signature) == nil
}

// decideKey is the user JWT for the client that knocks, or an error.
func (s *Service) decideKey(req *jwt.AuthorizationRequestClaims) (keyring.Key, string, error) {
	k := knockOf(req)
	key, err := s.knownKey(k)
	if err != nil {
		return keyring.Key{}, "", err
	}
	// The JWT says so too, and the server keeps to it: no signature is spent on what
	// it would refuse.
	if req.ClientInformation.Kind != "Client" || req.ClientInformation.Type != "nats" {
		return key, "", errKeyElsewhere
	}
	pattern, ok := s.deps.Named.Patterns[key.Role]
	if !ok {
		return key, "", errUnknownKey
	}
	s.live.add(key, linkKey(req), s.alive)
	// Who ends the key looks at the live ones afterwards: either it sees this one,
	// or this look sees that the key has ended.
	if now, ok := s.deps.Named.Keyring.ByPublic(k.public); !ok || !now.Equal(key) {
		return key, "", errUnknownKey
	}
	userJWT, err := s.opts.keyClaims(req.UserNkey, key, pattern).Encode(s.signer)
	if err != nil {
		return key, "", fmt.Errorf("sign the permissions of a key: %w", err)
	}
	return key, userJWT, nil
}

// keyClaims are the claims of the key's user JWT: what its role may, with an inbox
// of its own, in the role's account, and on plain NATS connections only.
func (o Options) keyClaims(userNkey string, key keyring.Key, pattern Pattern) *jwt.UserClaims {
	c := jwt.NewUserClaims(userNkey)
	c.Name = string(key.Name)
	c.Audience = pattern.Account
	c.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeStandard}
	c.Tags = jwt.TagList{"role:" + string(key.Role)}
	c.Permissions = permissionsOf(key, pattern.Permissions)
	return c
}

// inTheNameOf is a subject that the role may publish as the key may: a request of
// administration ends with who asks. It is false for one that would not end so.
func inTheNameOf(key keyring.Key, subject string) (string, bool) {
	if !strings.HasPrefix(subject, "admin.") {
		return subject, true
	}
	before, ok := strings.CutSuffix(subject, "."+string(key.Role))
	return before + "." + string(key.Name), ok
}

// permissionsOf are the permissions of the key: its role's, with the role's inboxes
// and name replaced by the key's, and narrowed to the key's categories.
func permissionsOf(key keyring.Key, role jwt.Permissions) jwt.Permissions {
	p := jwt.Permissions{
		Pub:  jwt.Permission{Deny: role.Pub.Deny},
		Sub:  jwt.Permission{Deny: role.Sub.Deny},
		Resp: role.Resp,
	}
	for _, subject := range role.Pub.Allow {
		if subject, ok := inTheNameOf(key, subject); ok {
			p.Pub.Allow = append(p.Pub.Allow, subject)
		}
	}
	for _, subject := range role.Sub.Allow {
		if !strings.HasPrefix(subject, "_INBOX") {
			p.Sub.Allow = append(p.Sub.Allow, subject)
		}
	}
	if len(key.Categories) > 0 {
		p.Pub.Allow = narrowed(p.Pub.Allow, "submit.", key)
		p.Sub.Allow = narrowed(p.Sub.Allow, "status.", key)
		p.Resp = nil
	}
	p.Sub.Allow = append(p.Sub.Allow, key.Name.InboxPrefix()+".>")
	if len(p.Pub.Allow) == 0 { // an empty list would allow everything
		p.Pub.Deny = append(p.Pub.Deny[:len(p.Pub.Deny):len(p.Pub.Deny)], ">")
	}
	return p
}

// narrowed are the subjects with that first token whose last one, the category, is
// a wildcard, once for each of the key's categories. Nothing else is left: not what
// is not of a category.
func narrowed(subjects jwt.StringList, root string, key keyring.Key) jwt.StringList {
	var list jwt.StringList
	for _, subject := range subjects {
		before, ok := strings.CutSuffix(subject, ".*")
		if !ok || !strings.HasPrefix(subject, root) {
			continue
		}
		for _, category := range key.Categories {
			list = append(list, before+"."+string(category))
		}
	}
	return list
}

func (s *Service) alive(client session.Key) bool {
	return s.deps.Named.Connections.Alive(client.ServerID, client.ClientID)
}

// KeysChanged closes the connections of keys that have ended. It is for the
// keyring's OnChange. Safe for concurrent use.
func (s *Service) KeysChanged() {
	if s.deps.Named == nil {
		return
	}
	for _, ended := range s.live.take(func(k keyring.Key) bool {
		now, ok := s.deps.Named.Keyring.ByPublic(k.Public)
		return ok && now.Equal(k)
	}) {
		closed := 0
		for _, id := range ended.clients {
			if s.alive(id) {
				s.deps.Named.Connections.Disconnect(id.ServerID, id.ClientID)
				closed++
			}
		}
		s.opts.Logger.Info("authorization: a key has ended, its connections are closed", "key", string(ended.key.Name), "connections", closed)
	}
}
