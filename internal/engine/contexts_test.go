package engine_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/engine"
)

// The CLI itself runs in test/cli_test.go; this is what it would read.
func TestContextsOfTheNATSCommandLineConnect(t *testing.T) {
	opts := options(t)
	e := start(t, opts)
	for range 2 { // again, as at the next start
		if err := engine.WriteContexts(opts.StoreDir, e.ClientURL()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"service", "operator", "system"} {
		path := filepath.Join(opts.StoreDir, "nats", "context", name+".json")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, want 0600", path, info.Mode())
		}
		var c struct{ URL, NKey string }
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		if !filepath.IsAbs(c.NKey) {
			t.Errorf("%s: the path of the key %q is not absolute", name, c.NKey)
		}
		option, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(c.URL, option)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		nc.Close()
	}
	selected, err := os.ReadFile(filepath.Join(opts.StoreDir, "nats", "context.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if string(selected) != "operator" {
		t.Errorf("selected context %q, want operator", selected)
	}
}
