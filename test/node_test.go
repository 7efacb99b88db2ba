//go:build e2e

package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestUnmodifiedBrowserClients runs node/: nats-core and nats.ws as they are
// published, with nothing but `servers` and `token`.
func TestUnmodifiedBrowserClients(t *testing.T) {
	runNodeTests(t, "node", nodeEnv(t, startStatuswire(t)))
}

// nodeEnv tells the Node tests where the server is.
func nodeEnv(t *testing.T, s *statuswire) []string {
	t.Helper()
	return []string{
		"STATUSWIRE_BIN=" + s.Bin,
		"STATUSWIRE_DATA=" + s.DataDir,
		"STATUSWIRE_HTTP=" + s.HTTP,
		"STATUSWIRE_WS=" + s.WS,
		"STATUSWIRE_NATS=" + s.NATS,
	}
}

// runNodeTests runs every test of a folder by Node's own runner. Missing
// dependencies fail the test: a suite that skips itself proves nothing.
func runNodeTests(t *testing.T, dir string, env []string) {
	t.Helper()
	for _, needed := range []string{"node", dir} {
		if _, err := os.Stat(filepath.Join(needed, "node_modules")); err != nil {
			t.Fatalf("the dependencies of test/%s are not installed: run `make node-deps`", needed)
		}
	}
	cmd := exec.CommandContext(t.Context(), "node", "--test", "--test-concurrency=1", "--test-reporter=spec")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	t.Logf("%s", output.Bytes())
	if err != nil {
		t.Fatalf("node --test in test/%s: %v", dir, err)
	}
}
