//go:build e2e && unix

package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/logtest"
)

// TestServeOutlivesTheReadersOfItsOutput closes the far end of stdout, of stderr and
// of both, has the server write to each, and stops it: it must write "stopping" on
// the way.
func TestServeOutlivesTheReadersOfItsOutput(t *testing.T) {
	for _, closed := range []string{"stdout", "stderr", "both"} {
		t.Run(closed, func(t *testing.T) {
			s := &statuswire{Bin: binary(t), DataDir: t.TempDir(), log: &logtest.Log{}, ended: make(chan struct{})}
			s.cmd = exec.Command(s.Bin, "serve", "--data", s.DataDir, "--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0")
			s.cmd.Dir = t.TempDir()
			s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
			if closed != "stderr" {
				s.cmd.Stdout = readerless(t)
			}
			if closed != "stdout" {
				s.cmd.Stderr = readerless(t)
			}
			if err := s.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.cmd.Process.Kill() })
			go func() { // ends with the process
				s.err = s.cmd.Wait()
				close(s.ended)
			}()
			if err := s.ready(); err != nil { // it has printed where it listens by then, or does so soon
				t.Fatal(err)
			}
			for i := range 3 { // a foreign origin is a line in the log
				req, err := http.NewRequest(http.MethodGet, s.HTTP+"/v1/conversations/c1/events", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Origin", fmt.Sprintf("https://evil%d.example", i))
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatalf("the server is gone: %v", err)
				}
				res.Body.Close()
				if res.StatusCode != http.StatusForbidden {
					t.Fatal(res.Status)
				}
			}
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			select {
			case <-s.ended:
			case <-time.After(stopTimeout):
				t.Fatal("it does not end")
			}
			if s.err != nil {
				t.Errorf("the shutdown was not clean: %v", s.err)
			}
			if _, err := os.Stat(s.DataDir + "/endpoints.json"); !os.IsNotExist(err) {
				t.Errorf("endpoints.json of a stopped server: %v", err)
			}
			if closed != "both" && !strings.Contains(s.Log(), map[string]string{"stdout": "origin not allowed", "stderr": "stopping"}[closed]) {
				t.Errorf("the other one misses lines:\n%s", s.Log())
			}
		})
	}
}

// readerless is the end to write to of a pipe that nobody reads.
func readerless(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}

// The other commands end by a closed pipe, as filters do: `session list | head`.
func TestAFilterEndsWithItsReader(t *testing.T) {
	cmd := exec.Command(binary(t), "--version")
	cmd.Stdout, cmd.Stderr = readerless(t), io.Discard
	err := cmd.Run()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGPIPE {
		t.Errorf("it ended with %v, want SIGPIPE", err)
	}
}
