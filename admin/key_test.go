package admin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/status"
)

// withKeys gives the house a keyring and the key of DIR/keys.
func withKeys(t testing.TB) func(*house, *admin.Options) {
	return func(h *house, opts *admin.Options) {
		ring := keyring.New(h.part(t, engine.PartKeys), keyring.Options{})
		must(t, ring.Start(t.Context()))
		t.Cleanup(func() { stop(t, ring.Stop) })
		public, err := h.keys.Operator.PublicKey()
		must(t, err)
		opts.Keyring = ring
		opts.BuiltInKeys = []admin.BuiltInKey{{Name: "operator", Role: "operator", Public: public}, {Name: "service", Role: "service", Public: newPublic(t)}}
	}
}

func newPublic(t testing.TB) string {
	t.Helper()
	kp, err := nkeys.CreateUser()
	must(t, err)
	public, err := kp.PublicKey()
	must(t, err)
	return public
}

func TestKeysAreMadeListedAndEnded(t *testing.T) {
	heard := &events{}
	h := start(t, admin.Options{Audit: heard}, withKeys(t))
	ctx := t.Context()
	ci := admin.CreateKeyRequest{Name: "ci", Role: "service", Categories: []status.Category{"tool", "engine"}, Public: newPublic(t)}
	made, err := h.client.CreateKey(ctx, ci)
	must(t, err)
	if made.Name != "ci" || made.Role != "service" || fmt.Sprint(made.Categories) != "[engine tool]" || made.Public != ci.Public || made.Created.IsZero() {
		t.Errorf("made %+v", made)
	}
	if again, err := h.client.CreateKey(ctx, ci); err != nil || !again.Created.Equal(made.Created) {
		t.Errorf("asked again: %+v, %v; want the same", again, err)
	}
	list, err := h.client.Keys(ctx)
	must(t, err)
	if len(list) != 3 || list[0].Name != "operator" || !list[0].BuiltIn || list[2].Name != "ci" || list[2].BuiltIn {
		t.Errorf("listed %+v", list)
	}
	ended, err := h.client.EndKey(ctx, "ci")
	must(t, err)
	if ended.Public != ci.Public {
		t.Errorf("ended %+v", ended)
	}
	list, err = h.client.Keys(ctx)
	must(t, err)
	if len(list) != 2 {
		t.Errorf("after the end there are %+v", list)
	}
	want := "key_created by operator:   key created: ci, service of engine, tool|key_created by operator:   key created: ci, service of engine, tool|key_ended by operator:   key ended: ci"
	if got := strings.Join(heard.reasons(), "|"); got != want {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestManyKeysAreListedInPages(t *testing.T) {
	h := start(t, admin.Options{}, withKeys(t))
	const n = 1205
	for i := range n {
		_, err := h.client.CreateKey(t.Context(), admin.CreateKeyRequest{Name: fmt.Sprintf("k%04d", i), Role: "viewer", Public: newPublic(t)})
		must(t, err)
	}
	list, err := h.client.Keys(t.Context())
	must(t, err)
	if len(list) != n+2 || list[2].Name != "k0000" || list[n+1].Name != "k1204" {
		t.Errorf("there are %d, want %d", len(list), n+2)
	}
	for limit, want := range map[int]string{1: "operator", 2: "operator service", 3: "operator service k0000"} {
		var page struct {
			Keys []admin.KeyInfo
			More bool
		}
		m, err := h.nc.Request("admin.key.list", fmt.Appendf(nil, `{"limit":%d}`, limit), 5*time.Second)
		must(t, err)
		must(t, json.Unmarshal(m.Data, &page))
		var names []string
		for _, k := range page.Keys {
			names = append(names, k.Name)
		}
		if strings.Join(names, " ") != want || !page.More {
			t.Errorf("limit %d: %v, more %v", limit, names, page.More)
		}
	}
}

func TestKeysThatCannotBeAreRefusedWithTheirReason(t *testing.T) {
	heard := &events{}
	h := start(t, admin.Options{Audit: heard, RoleAvailable: func(r keyring.Role) error {
		if r == keyring.RoleOperator {
			return errors.New("nats.conf has no such user")
		}
		return nil
	}}, withKeys(t))
	operator, err := h.keys.Operator.PublicKey()
	must(t, err)
	seed, err := h.keys.Operator.Seed()
	must(t, err)
	_, err = h.client.CreateKey(t.Context(), admin.CreateKeyRequest{Name: "taken", Role: "viewer", Public: newPublic(t)})
	must(t, err)
	for _, c := range []struct {
		name    string
		request admin.CreateKeyRequest
		want    error
		text    string
	}{
		{"no name", admin.CreateKeyRequest{Role: "viewer", Public: newPublic(t)}, admin.ErrKeyInvalid, "a letter first"},
		{"a wildcard for a name", admin.CreateKeyRequest{Name: "*", Role: "viewer", Public: newPublic(t)}, admin.ErrKeyInvalid, `"*"`},
		{"a key of DIR/keys by name", admin.CreateKeyRequest{Name: "operator", Role: "viewer", Public: newPublic(t)}, admin.ErrKeyInvalid, "taken"},
		{"a key of DIR/keys by its public key", admin.CreateKeyRequest{Name: "me", Role: "viewer", Public: operator}, admin.ErrKeyExists, "operator"},
		{"a role that is none", admin.CreateKeyRequest{Name: "a", Role: "root", Public: newPublic(t)}, admin.ErrKeyInvalid, `"root"`},
		{"a role that nats.conf does not have", admin.CreateKeyRequest{Name: "a", Role: "operator", Public: newPublic(t)}, admin.ErrKeyInvalid, "no such user"},
		{"no public key", admin.CreateKeyRequest{Name: "a", Role: "viewer"}, admin.ErrKeyInvalid, "public key"},
		{"a seed for a public key", admin.CreateKeyRequest{Name: "a", Role: "viewer", Public: string(seed)}, admin.ErrKeyInvalid, "public key"},
		{"a viewer with categories", admin.CreateKeyRequest{Name: "a", Role: "viewer", Categories: []status.Category{"engine"}, Public: newPublic(t)}, admin.ErrKeyInvalid, "for services"},
		{"a category that is none", admin.CreateKeyRequest{Name: "a", Role: "service", Categories: []status.Category{"*"}, Public: newPublic(t)}, admin.ErrKeyInvalid, `"*"`},
		{"a name that is taken", admin.CreateKeyRequest{Name: "taken", Role: "viewer", Public: newPublic(t)}, admin.ErrKeyExists, `"taken"`},
	} {
		_, err := h.client.CreateKey(t.Context(), c.request)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: error %v, want %v with %q", c.name, err, c.want, c.text)
		}
		if strings.Contains(fmt.Sprint(err), string(seed[:20])) {
			t.Errorf("%s: the error shows the seed: %v", c.name, err)
		}
	}
	for name, want := range map[string]error{"nobody": admin.ErrKeyNotFound, "operator": admin.ErrKeyBuiltIn, "*": admin.ErrKeyInvalid, "": admin.ErrKeyInvalid} {
		if _, err := h.client.EndKey(t.Context(), name); !errors.Is(err, want) {
			t.Errorf("end %q: error %v, want %v", name, err, want)
		}
	}
	if got := heard.reasons(); len(got) != 1 {
		t.Errorf("recorded %q, want the one that was made", got)
	}
}
