//go:build e2e

package test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPageInChromium runs page/: the embedded page in a real browser. With
// STATUSWIRE_SHOTS=FOLDER it leaves pictures of the page there. All of it is one
// user's within a minute, who has more changes to make than people do.
func TestPageInChromium(t *testing.T) {
	t.Parallel() // it mostly waits
	config := filepath.Join(t.TempDir(), "statuswire.conf")
	if err := os.WriteFile(config, []byte("limits { subscription_changes: 10000 }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startStatuswire(t, "--demo", "--config", config)
	runNodeTests(t, "page", nodeEnv(t, s))
}
