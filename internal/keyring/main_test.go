package keyring_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startEngine runs the server in the folder on a free port.
func startEngine(t testing.TB, dir string) *engine.Engine {
	t.Helper()
	set, err := keys.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Listen: "127.0.0.1:0", StoreDir: dir, Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e.Stop) })
	return e
}

func stop(t testing.TB, stop func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := stop(ctx); err != nil {
		t.Error(err)
	}
}

func connect(t testing.TB, e *engine.Engine) *nats.Conn {
	t.Helper()
	nc, err := e.Connect(engine.PartKeys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// startRing starts a ring on a connection of its own, as each node has one.
func startRing(t testing.TB, e *engine.Engine, onChange func()) *keyring.Ring {
	t.Helper()
	r := keyring.New(connect(t, e), keyring.Options{})
	if onChange != nil {
		r.OnChange(onChange)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, r.Stop) })
	return r
}

// public is a new public key of a user.
func public(t testing.TB) string {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	p, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 15 s", what)
		}
	}
}
