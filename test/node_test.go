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
	nodeTestsWithLedger(t, startStatuswire(t))
}

// nodeTestsWithLedger runs the tests of node/, and compares what they provoked
// with the audit. It answers the metrics as they were at the end.
func nodeTestsWithLedger(t *testing.T, s *statuswire, files ...string) map[string]float64 {
	t.Helper()
	file := ledgerFile(t)
	runNodeTests(t, "node", append(nodeEnv(t, s), "STATUSWIRE_LEDGER="+file), files...)
	metrics := metricsText(t, s)
	l := newLedger()
	l.read(t, file)
	records := flushedAudit(t, s)
	l.check(t, records)
	l.noSecrets(t, s, metrics, records)
	return figures(t, metrics)
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

// runNodeTests runs tests of a folder by Node's own runner: the files named, or
// every *.test.mjs. Missing dependencies fail the test: a suite that skips itself
// proves nothing.
func runNodeTests(t *testing.T, dir string, env []string, files ...string) {
	t.Helper()
	for _, needed := range []string{"node", dir} {
		if _, err := os.Stat(filepath.Join(needed, "node_modules")); err != nil {
			t.Fatalf("the dependencies of test/%s are not installed: run `make node-deps`", needed)
		}
	}
	args := append([]string{"--test", "--test-concurrency=1", "--test-timeout=300000", "--test-reporter=spec"}, files...)
	cmd := exec.CommandContext(t.Context(), "node", args...)
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
