package kv_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
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

// superuserKey belongs to a user of these tests who may do everything in the
// account, to break what no part may break.
var superuserKey = sync.OnceValues(nkeys.CreateUser)

func superuserPublic(t testing.TB) (nkeys.KeyPair, string) {
	t.Helper()
	kp, err := superuserKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return kp, public
}

// withSuperuser is the shipped nats.conf with one user more.
func withSuperuser(t testing.TB) []byte {
	t.Helper()
	_, public := superuserPublic(t)
	config := string(statuswire.DefaultNATSConfig())
	for before, insert := range map[string]string{"{ nkey: $SERVICE_KEY,": "{ nkey: " + public + " }\n      ", "$SERVICE_KEY, $OPERATOR_KEY, $SYSTEM_KEY\n": public + ", "} {
		if strings.Count(config, before) != 1 {
			t.Fatalf("nats.conf does not have %q once", before)
		}
		config = strings.Replace(config, before, insert+before, 1)
	}
	return []byte(config)
}

func superuser(t testing.TB, e *engine.Engine) *nats.Conn {
	t.Helper()
	kp, public := superuserPublic(t)
	nc, err := nats.Connect(e.ClientURL(), nats.Nkey(public, kp.Sign))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
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
