//go:build e2e

package test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/statuswire/statuswire/internal/logtest"
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
	needNodeModules(t, "node", dir)
	// Node 20 can hang for ever in its own clean-up (Environment::CleanupHandles) when
	// all tests of a file have ended and nothing is open any more: have it exit.
	args := append([]string{"--test", "--test-force-exit", "--test-concurrency=1", "--test-timeout=300000", "--test-reporter=spec"}, files...)
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

func needNodeModules(t testing.TB, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
			t.Fatalf("the dependencies of test/%s are not installed: run `make node-deps`", dir)
		}
	}
}

// startNode runs a program of test/node until the test ends, which ends its standard
// input. What it prints goes to read, in a goroutine of its own; what it says on
// stderr is shown when the test has failed.
func startNode(t testing.TB, read func(io.Reader) error, program string, args ...string) {
	t.Helper()
	needNodeModules(t, "node")
	cmd := exec.Command("node", append([]string{program}, args...)...)
	cmd.Dir = "node"
	stderr := &logtest.Log{}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- read(stdout) }() // ends with the process
	t.Cleanup(func() {
		stdin.Close()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", program, err)
			cmd.Process.Kill()
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", program, err)
		}
		if t.Failed() && stderr.String() != "" {
			t.Logf("%s said:\n%s", program, stderr)
		}
	})
}
