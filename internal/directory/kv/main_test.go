package kv_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nats-io/nats.go"
	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startEngine runs the server in a temporary folder on a free port.
func startEngine(t testing.TB) *engine.Engine {
	t.Helper()
	dir := t.TempDir()
	set, err := keys.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Config: withSuperuser(t), Listen: "127.0.0.1:0", StoreDir: dir, Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

// withSuperuser is the shipped nats.conf in which a part that these tests do not
// have may do everything in the bucket's account: to break what no part may break.
func withSuperuser(t testing.TB) []byte {
	t.Helper()
	config := string(statuswire.DefaultNATSConfig())
	head, tail, ok := strings.Cut(config, "{ nkey: $MARKS_KEY, permissions: {\n")
	_, tail, ends := strings.Cut(tail, "\n\n")
	if !ok || !ends {
		t.Fatal("nats.conf has no user $MARKS_KEY, or nothing behind it")
	}
	return []byte(head + `{ nkey: $MARKS_KEY, permissions: { publish: { allow: [">"] }, subscribe: { allow: [">"] } } }` + "\n\n" + tail)
}

func superuser(t testing.TB, e *engine.Engine) *nats.Conn {
	t.Helper()
	return connect(t, e, engine.PartMarks)
}

func connect(t testing.TB, e *engine.Engine, part engine.Part) *nats.Conn {
	t.Helper()
	nc, err := e.Connect(part)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func startDirectory(t testing.TB, e *engine.Engine, opts kv.Options) *kv.Directory {
	t.Helper()
	d := kv.New(connect(t, e, engine.PartDirectory), opts)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 15 s", what)
		}
	}
}
