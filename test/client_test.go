//go:build e2e

package test

import (
	"os"
	"testing"
)

// TestClient runs node/client: the npm package as it was built, against servers
// that the tests start, kill and cut off by themselves.
func TestClient(t *testing.T) {
	t.Parallel() // it mostly waits
	needClient(t)
	runNodeTests(t, "node", []string{"STATUSWIRE_BIN=" + binary(t)},
		"client/follow.mjs", "client/recover.mjs", "client/refusal.mjs", "client/token.mjs", "client/presence.mjs")
}

// TestClientPackage runs node/client/package.mjs: the package as npm would publish
// it, installed into an empty project, type-checked, bundled, and run in Chromium.
func TestClientPackage(t *testing.T) {
	t.Parallel() // it mostly waits
	needClient(t)
	runNodeTests(t, "node", []string{"STATUSWIRE_BIN=" + binary(t)}, "client/package.mjs")
}

func needClient(t *testing.T) {
	t.Helper()
	for _, needed := range []string{"../client/node_modules", "../client/dist/mod.js"} {
		if _, err := os.Stat(needed); err != nil {
			t.Fatalf("the client is not built: run `make node-deps` (%v)", err)
		}
	}
}
