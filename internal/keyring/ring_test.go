package keyring_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/status"
)

func TestEveryNodeHasAKeyUntilItEnds(t *testing.T) {
	e := startEngine(t, t.TempDir())
	var told atomic.Int32
	here := startRing(t, e, nil)
	there := startRing(t, e, func() { told.Add(1) })
	p := public(t)
	made, err := here.Create(t.Context(), keyring.Key{Name: "ci", Role: keyring.RoleService, Categories: []status.Category{"tool", "engine"}, Public: p})
	if err != nil {
		t.Fatal(err)
	}
	if time.Since(made.Created) > time.Minute || made.Categories[0] != "engine" {
		t.Errorf("made %+v: want it of now, with its categories sorted", made)
	}
	if k, ok := here.ByPublic(p); !ok || !k.Equal(made) {
		t.Errorf("here: %+v, %v", k, ok)
	}
	eventually(t, "the other node has the key", func() bool { k, ok := there.ByPublic(p); return ok && k.Equal(made) })
	eventually(t, "the other node is told", func() bool { return told.Load() == 1 })

	ended, err := there.End(t.Context(), "ci")
	if err != nil || !ended.Equal(made) {
		t.Fatalf("ended %+v, %v", ended, err)
	}
	if _, ok := there.ByPublic(p); ok {
		t.Error("the key is still there where it was ended")
	}
	eventually(t, "it ends on the other node", func() bool { _, ok := here.ByPublic(p); return !ok })
	if _, err := here.End(t.Context(), "ci"); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("ended twice: %v", err)
	}
}

func TestNamesAndPublicKeysAreTakenOnce(t *testing.T) {
	r := startRing(t, startEngine(t, t.TempDir()), nil)
	first := keyring.Key{Name: "ci", Role: keyring.RoleViewer, Public: public(t)}
	made, err := r.Create(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Create(t.Context(), first); err != nil || !again.Created.Equal(made.Created) {
		t.Errorf("the same again: %+v, %v; want what is there", again, err)
	}
	for what, k := range map[string]keyring.Key{
		"the name with another public key": {Name: "ci", Role: keyring.RoleViewer, Public: public(t)},
		"the name with another role":       {Name: "ci", Role: keyring.RoleOperator, Public: first.Public},
		"the public key with another name": {Name: "cd", Role: keyring.RoleViewer, Public: first.Public},
	} {
		if _, err := r.Create(t.Context(), k); !errors.Is(err, keyring.ErrExists) {
			t.Errorf("%s: error %v, want ErrExists", what, err)
		}
	}
	if k, ok := r.ByPublic(first.Public); !ok || k.Role != keyring.RoleViewer {
		t.Errorf("the first key is %+v, %v", k, ok)
	}
	// The name is free again, for another seed.
	if _, err := r.End(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	second, err := r.Create(t.Context(), keyring.Key{Name: "ci", Role: keyring.RoleOperator, Public: public(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.ByPublic(first.Public); ok {
		t.Error("the old public key is back with the name")
	}
	if list := r.Page("", 10); len(list) != 1 || !list[0].Equal(second) {
		t.Errorf("listed %+v", list)
	}
}

func TestWhatCannotBeReadIsNoKeyAndCanBeEnded(t *testing.T) {
	e := startEngine(t, t.TempDir())
	js, err := jetstream.New(connect(t, e))
	if err != nil {
		t.Fatal(err)
	}
	p := public(t)
	if _, err := js.Publish(t.Context(), "$KV.keys.ci", []byte(`{"name":"ci","role":"operator","role":"viewer","public":"`+p+`","created":"2024-01-19T12:00:00Z"}`)); err != nil {
		t.Fatal(err)
	}
	r := startRing(t, e, nil)
	if k, ok := r.ByPublic(p); ok {
		t.Fatalf("it is a key: %+v", k)
	}
	if _, err := r.Create(t.Context(), keyring.Key{Name: "ci", Role: keyring.RoleViewer, Public: p}); !errors.Is(err, keyring.ErrExists) {
		t.Errorf("created over it: %v", err)
	}
	if _, err := r.End(t.Context(), "ci"); err != nil {
		t.Error(err)
	}
	if _, err := r.Create(t.Context(), keyring.Key{Name: "ci", Role: keyring.RoleViewer, Public: p}); err != nil {
		t.Errorf("created after it was ended: %v", err)
	}
}

func TestARestartKeepsTheKeys(t *testing.T) {
	dir := t.TempDir()
	p := public(t)
	e := startEngine(t, dir)
	r := startRing(t, e, nil)
	if _, err := r.Create(t.Context(), keyring.Key{Name: "ci", Role: keyring.RoleViewer, Public: p}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := errors.Join(r.Stop(ctx), e.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
	if k, ok := startRing(t, startEngine(t, dir), nil).ByPublic(p); !ok || k.Name != "ci" {
		t.Errorf("after the restart: %+v, %v", k, ok)
	}
}
