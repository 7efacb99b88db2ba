package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/status"
)

// Role is what a key may do.
type Role string

// The roles. What each may publish and hear stands in nats.conf.
const (
	RoleOperator Role = "operator" // administers, as operator.nk does
	RoleViewer   Role = "viewer"   // reads what operators read, and changes nothing
	RoleService  Role = "service"  // publishes statuses, as service.nk does
)

// Roles lists every role.
func Roles() []Role { return []Role{RoleOperator, RoleViewer, RoleService} }

// ParseRole reads a role. The error says which there are.
func ParseRole(s string) (Role, error) {
	if role := Role(s); slices.Contains(Roles(), role) {
		return role, nil
	}
	return "", fmt.Errorf("%w: role %s is not known: use operator, viewer or service", ErrInvalid, status.Quote(s))
}

// Name is what a key is called: in the audit, in the NATS server's reports, and in
// the subject of its inbox.
type Name string

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// reserved are names that mean somebody else: the keys of DIR/keys, and who stands
// in records beside a key.
var reserved = []Name{"operator", "service", "system", "viewer", "issuer", "xkey", "token", "server", "statuswire", "unknown"}

// ParseName reads a name.
func ParseName(s string) (Name, error) {
	if !namePattern.MatchString(s) {
		return "", fmt.Errorf("%w: name %s: use 1 to 32 of a-z 0-9 _ -, a letter first", ErrInvalid, status.Quote(s))
	}
	if slices.Contains(reserved, Name(s)) {
		return "", fmt.Errorf("%w: name %q is taken by a key of Statuswire's own: choose another", ErrInvalid, s)
	}
	return Name(s), nil
}

// InboxRoot is the first token of the inboxes of named keys: each has
// _INBOX_key.<name>.> for its own. The name is a token of its own, so that who
// answers can be allowed all of them, and nothing that anybody chooses is the first
// token of anybody's inbox.
const InboxRoot = status.ReplyKey

// InboxPrefix is what the key's client must use for its inboxes: nobody else hears
// those, and it hears no others.
func (n Name) InboxPrefix() string { return InboxRoot + "." + string(n) }

// Key is one named key. Treat the slice as read-only.
type Key struct {
	Name Name `json:"name"`
	Role Role `json:"role"`
	// Categories are those that a service may publish to and hears. Empty: all, and
	// presence with them. Each once, in ascending order when they come from a Ring.
	Categories []status.Category `json:"categories,omitempty"`
	Public     string            `json:"public"` // the nkey, "U…"
	// Created is in UTC and whole milliseconds. The Ring sets it.
	Created time.Time `json:"created"`
}

// MaxCategories bounds those of one key.
const MaxCategories = 64

// Validate says which rule the key breaks. The error wraps ErrInvalid.
func (k Key) Validate() error {
	if _, err := ParseName(string(k.Name)); err != nil {
		return err
	}
	if _, err := ParseRole(string(k.Role)); err != nil {
		return err
	}
	if !nkeys.IsValidPublicUserKey(k.Public) {
		// Not quoted: it may be the seed.
		return fmt.Errorf("%w: the public key of %q is no nkey of a user: it begins with U and has 56 characters", ErrInvalid, k.Name)
	}
	if year := k.Created.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("%w: %q was created in the year %d, which RFC 3339 cannot write", ErrInvalid, k.Name, year)
	}
	if len(k.Categories) > 0 && k.Role != RoleService {
		return fmt.Errorf("%w: %q is of the role %s, and categories are for services", ErrInvalid, k.Name, k.Role)
	}
	if len(k.Categories) > MaxCategories {
		return fmt.Errorf("%w: %q has %d categories, at most %d are allowed", ErrInvalid, k.Name, len(k.Categories), MaxCategories)
	}
	for i, c := range k.Categories {
		if _, err := status.ParseCategory(string(c)); err != nil {
			return fmt.Errorf("%w: categories of %q: %w", ErrInvalid, k.Name, err)
		}
		if slices.Contains(k.Categories[:i], c) {
			return fmt.Errorf("%w: categories of %q: %q is there twice", ErrInvalid, k.Name, c)
		}
	}
	return nil
}

// Equal compares everything but Created.
func (k Key) Equal(l Key) bool {
	return k.Name == l.Name && k.Role == l.Role && k.Public == l.Public && slices.Equal(k.Categories, l.Categories)
}

// normalized is the key as it is kept.
func (k Key) normalized() Key {
	k.Categories = slices.Clip(slices.Clone(k.Categories))
	slices.Sort(k.Categories)
	k.Created = k.Created.UTC().Truncate(time.Millisecond)
	return k
}

// decode reads the value under a name. Only what encode writes is a key: who gets
// something else into the bucket gets no key out of it. The error never quotes the
// value.
func decode(name string, data []byte) (Key, error) {
	var k Key
	if err := json.Unmarshal(data, &k); err != nil {
		return Key{}, fmt.Errorf("value of %d bytes is not a key in JSON", len(data))
	}
	if string(k.Name) != name {
		return Key{}, errors.New("value is of another key than its name")
	}
	if k.Validate() != nil {
		return Key{}, errors.New("value breaks a rule of keys")
	}
	again, err := encode(k.normalized())
	if err != nil || !bytes.Equal(again, data) {
		return Key{}, errors.New("value is not as it is written here: a field more, twice, or in another order")
	}
	return k, nil
}

func encode(k Key) ([]byte, error) { return json.Marshal(k) }
