package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

// options for an engine of its own in a temporary folder, on a free port.
func options(t testing.TB) engine.Options {
	t.Helper()
	dir := t.TempDir()
	set, err := keys.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return engine.Options{Listen: "127.0.0.1:0", StoreDir: dir, Keys: set}
}

func start(t testing.TB, opts engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
	return e
}

func stop(t testing.TB, e *engine.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func connect(t testing.TB, e *engine.Engine, part engine.Part, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := e.Connect(part, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// dial connects over TCP with one of the keys in DIR, as a service does.
func dial(t testing.TB, e *engine.Engine, kp nkeys.KeyPair, opts ...nats.Option) *nats.Conn {
	t.Helper()
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(e.ClientURL(), append([]nats.Option{nats.Nkey(public, kp.Sign)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// dialOperator connects over TCP as an operator does, who has inboxes of a kind.
func dialOperator(t testing.TB, e *engine.Engine) *nats.Conn {
	t.Helper()
	return dial(t, e, e.KeyOf("OPERATOR_KEY"), nats.CustomInboxPrefix(status.InboxOperator))
}

func TestEveryPartConnectsAlthoughTheCalloutIsOn(t *testing.T) {
	e := start(t, options(t))
	for _, part := range engine.Parts() {
		if err := connect(t, e, part).Flush(); err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
}
