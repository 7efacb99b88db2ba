//go:build e2e

package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/logtest"
)

const (
	startTimeout = 30 * time.Second // until /readyz, with other tests beside it
	stopTimeout  = 30 * time.Second // from SIGTERM to the end
)

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(code)
}

// built is the binary of this run of the tests, when buildBinary made one.
var built string

// buildBinary builds the program once.
var buildBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "statuswire-test-")
	if err != nil {
		return "", err
	}
	built = filepath.Join(dir, "statuswire")
	out, err := exec.Command("go", "build", "-o", built, "github.com/statuswire/statuswire/cmd/statuswire").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return built, nil
})

// binary is the program under test: STATUSWIRE_BIN, or one built from the source.
func binary(t testing.TB) string {
	t.Helper()
	if bin := os.Getenv("STATUSWIRE_BIN"); bin != "" {
		abs, err := filepath.Abs(bin)
		if err != nil {
			t.Fatal(err)
		}
		return abs
	}
	bin, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// statuswire is a running server.
type statuswire struct {
	Bin, DataDir   string
	HTTP, WS, NATS string // as in endpoints.json
	Metrics        string

	cmd   *exec.Cmd
	log   *logtest.Log
	ended chan struct{} // closed when the process has ended
	err   error         // how it ended; set before ended is closed
}

// startStatuswire starts a server on free ports with an empty data folder; more
// flags of `serve` may follow. It ends with the test, and shows its log when the
// test has failed.
func startStatuswire(t testing.TB, flags ...string) *statuswire {
	t.Helper()
	return startStatuswireIn(t, t.TempDir(), flags...)
}

// startStatuswireIn is startStatuswire with a data folder of an earlier server.
func startStatuswireIn(t testing.TB, dataDir string, flags ...string) *statuswire {
	t.Helper()
	return launch(t, dataDir, flags...).whenReady(t)
}

// whenReady waits until the server is ready. It ends with the test, and shows its log
// when the test has failed.
func (s *statuswire) whenReady(t testing.TB) *statuswire {
	t.Helper()
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.log)
		}
	})
	if err := s.ready(); err != nil {
		t.Fatal(err)
	}
	return s
}

// launch starts the process and does not wait for it.
func launch(t testing.TB, dataDir string, flags ...string) *statuswire {
	t.Helper()
	return launchBy(t, nil, dataDir, flags...)
}

// launchBy is launch by a program that in the end becomes the server: its arguments,
// in front of those of the server.
func launchBy(t testing.TB, by []string, dataDir string, flags ...string) *statuswire {
	t.Helper()
	endpoints := filepath.Join(dataDir, "endpoints.json")
	if err := os.Remove(endpoints); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err) // an old file would name the addresses of an earlier server
	}
	s := &statuswire{Bin: binary(t), DataDir: dataDir, log: &logtest.Log{}, ended: make(chan struct{})}
	args := append(slices.Clone(by), s.Bin, "serve", "--data", dataDir, "--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0")
	args = append(args, flags...)
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Dir = t.TempDir() // where no statuswire.conf lies about
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	endWithTests(s.cmd)
	started := make(chan error)
	go func() { // ends with the process
		// The parent, for the kernel, is a thread: one that has nothing else to do, and
		// ends with this goroutine.
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.err = s.cmd.Wait()
			close(s.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return s
}

// ready waits for endpoints.json and /readyz.
func (s *statuswire) ready() error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		select {
		case <-s.ended:
			return fmt.Errorf("statuswire serve ended: %v\n%s", s.err, s.log)
		case <-time.After(20 * time.Millisecond):
		}
		text, err := os.ReadFile(filepath.Join(s.DataDir, "endpoints.json"))
		if err != nil {
			continue
		}
		if err := json.Unmarshal(text, s); err != nil {
			return fmt.Errorf("endpoints.json: %w", err)
		}
		res, err := http.Get(s.HTTP + "/readyz")
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("statuswire serve was not ready after %v\n%s", startTimeout, s.log)
}

// Stop ends the server as a service manager does, and by force when that takes too
// long, which it returns as an error. Calling it again returns the same.
func (s *statuswire) Stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-s.ended:
		return s.err
	case <-time.After(stopTimeout):
		s.Kill()
		return fmt.Errorf("statuswire serve did not end within %v of SIGTERM", stopTimeout)
	}
}

// Kill ends the server as a crash does.
func (s *statuswire) Kill() {
	s.cmd.Process.Kill() // an error means that it has ended
	<-s.ended
}

// Log is what the server has printed so far.
func (s *statuswire) Log() string { return s.log.String() }

// run runs a subcommand of the command line on the server's data folder and
// returns what it printed, without white space at the end.
func (s *statuswire) run(t testing.TB, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), s.Bin, append(args, "--data", s.DataDir)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("statuswire %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}
