package admin

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/status"
)

// Keyring is what the service needs of the named keys.
type Keyring interface {
	Create(context.Context, keyring.Key) (keyring.Key, error)
	End(context.Context, keyring.Name) (keyring.Key, error)
	Page(after keyring.Name, limit int) []keyring.Key
}

// BuiltInKey is a key of DIR/keys that nats.conf names.
type BuiltInKey struct {
	Name   string // operator, service, system: also its file's, without .nk
	Role   string // as Name
	Public string
}

// KeyInfo is one key as list shows it.
type KeyInfo struct {
	Name string `json:"name"`
	Role string `json:"role"`
	// Categories are those of a service that may not publish to all.
	Categories []status.Category `json:"categories,omitempty"`
	Public     string            `json:"public"`
	// Created is zero for a key of DIR/keys.
	Created time.Time `json:"created,omitzero"`
	// BuiltIn is true for a key of DIR/keys.
	BuiltIn bool `json:"built_in,omitempty"`
}

func infoOf(k keyring.Key) KeyInfo {
	return KeyInfo{Name: string(k.Name), Role: string(k.Role), Categories: k.Categories, Public: k.Public, Created: k.Created}
}

// CreateKeyRequest asks for a new key. The seed stays with whoever asks.
type CreateKeyRequest struct {
	Name       string            `json:"name"`
	Role       string            `json:"role"`
	Categories []status.Category `json:"categories,omitempty"`
	Public     string            `json:"public"`
}

// EndKeyRequest ends a key.
type EndKeyRequest struct {
	Name string `json:"name"`
}

// KeyResponse answers create and end.
type KeyResponse struct {
	Key KeyInfo `json:"key"`
}

// KeysRequest asks for one page of keys: those of DIR/keys first, then by name.
type KeysRequest struct {
	After string `json:"after,omitempty"` // the last name of the page before
	Limit int    `json:"limit,omitempty"` // at most 1,000, which is the default
}

// KeysResponse is one page; it may be shorter than the limit although there is more.
type KeysResponse struct {
	Keys []KeyInfo `json:"keys"`
	More bool      `json:"more,omitempty"`
}

func (s *Service) createKey(ctx context.Context, data []byte) (any, error) {
	var r CreateKeyRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	role, err := keyring.ParseRole(r.Role)
	if err != nil {
		return nil, err
	}
	for _, b := range s.opts.BuiltInKeys {
		if b.Public == r.Public {
			return nil, ErrKeyExists.Withf("the public key is that of %s, a key of DIR/keys: make one of its own", b.Name)
		}
	}
	if err := s.opts.RoleAvailable(role); err != nil {
		return nil, ErrKeyInvalid.Withf("there are no keys of the role %s here: %v", role, err)
	}
	k, err := s.opts.Keyring.Create(ctx, keyring.Key{Name: keyring.Name(r.Name), Role: role, Categories: r.Categories, Public: r.Public})
	if err != nil {
		return nil, err
	}
	what := "key created: " + string(k.Name) + ", " + string(k.Role)
	if len(k.Categories) > 0 {
		what += " of " + joined(k.Categories)
	}
	s.changed(ctx, audit.KindKeyCreated, "", "", what)
	return KeyResponse{infoOf(k)}, nil
}

func joined(categories []status.Category) string {
	words := make([]string, len(categories))
	for i, c := range categories {
		words[i] = string(c)
	}
	return strings.Join(words, ", ")
}

func (s *Service) endKey(ctx context.Context, data []byte) (any, error) {
	var r EndKeyRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	for _, b := range s.opts.BuiltInKeys {
		if b.Name == r.Name {
			return nil, ErrKeyBuiltIn.Withf("%s is a key of DIR/keys: to replace it, stop the server, move DIR/keys/%s.nk away and start the server, which makes a new one", b.Name, b.Name)
		}
	}
	k, err := s.opts.Keyring.End(ctx, keyring.Name(r.Name))
	if err != nil {
		return nil, err
	}
	s.changed(ctx, audit.KindKeyEnded, "", "", "key ended: "+string(k.Name))
	return KeyResponse{infoOf(k)}, nil
}

// rawKeys is a KeysResponse whose keys are JSON already.
type rawKeys struct {
	Keys []json.RawMessage `json:"keys"`
	More bool              `json:"more,omitempty"`
}

func (s *Service) listKeys(_ context.Context, data []byte) (any, error) {
	var r KeysRequest
	if err := parse(data, &r); err != nil {
		return nil, err
	}
	limit, err := pageLimit(r.Limit)
	if err != nil {
		return nil, err
	}
	bodies, more, err := page(s.keysAfter(r.After, limit+1), limit, s.room())
	return rawKeys{Keys: bodies, More: more}, err
}

// keysAfter lists the built-in keys and then the named ones; no named key has the
// name of a built-in one.
func (s *Service) keysAfter(after string, limit int) []KeyInfo {
	var list []KeyInfo
	builtIn := s.opts.BuiltInKeys
	if i := slices.IndexFunc(builtIn, func(b BuiltInKey) bool { return b.Name == after }); i >= 0 {
		builtIn, after = builtIn[i+1:], ""
	} else if after != "" {
		builtIn = nil
	}
	for _, b := range builtIn {
		list = append(list, KeyInfo{Name: b.Name, Role: b.Role, Public: b.Public, BuiltIn: true})
	}
	for _, k := range s.opts.Keyring.Page(keyring.Name(after), limit) {
		list = append(list, infoOf(k))
	}
	return list[:min(limit, len(list))]
}
