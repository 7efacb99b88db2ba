package engine_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
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

// A key's context is written once; the server may listen elsewhere at its next start.
func TestContextsOfNamedKeysFollowTheServer(t *testing.T) {
	dir := t.TempDir()
	if err := engine.WriteNamedContext(dir, "nats://127.0.0.1:1", "ci", "a service", "_INBOX_key.ci"); err != nil {
		t.Fatal(err)
	}
	mine, theirs := engine.ContextFile(dir, "ci"), engine.ContextFile(dir, "theirs")
	edited, err := os.ReadFile(mine)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte(strings.Replace(string(edited), "{", `{"color_scheme": "yellow",`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := []byte(`{"url": "nats://elsewhere:4222", "nkey": "/etc/their.nk"}`)
	if err := os.WriteFile(theirs, foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(engine.ContextFile(dir, "broken"), []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := engine.WriteContexts(dir, "nats://127.0.0.1:2"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(mine)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]string
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if c["url"] != "nats://127.0.0.1:2" || c["inbox_prefix"] != "_INBOX_key.ci" || c["color_scheme"] != "yellow" || filepath.Base(c["nkey"]) != "ci.nk" {
		t.Errorf("the context is %v", c)
	}
	if after, err := os.ReadFile(theirs); err != nil || string(after) != string(foreign) {
		t.Errorf("somebody else's context is now %s, %v", after, err)
	}
}
