//go:build e2e

package test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestServeEndsCleanlyOnASignal(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s := startStatuswire(t)
		if err := s.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.ended:
		case <-time.After(stopTimeout):
			t.Fatalf("%v: it goes on", signal)
		}
		if s.err != nil {
			t.Errorf("%v: %v", signal, s.err)
		}
		if _, err := os.Stat(filepath.Join(s.DataDir, "endpoints.json")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: endpoints.json of a stopped server: %v", signal, err)
		}
	}
}

func TestASecondSignalEndsServeAtOnce(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "slow.conf")
	if err := os.WriteFile(conf, []byte("shutdown { drain: \"5m\", close_spread: \"5m\" }\nlimits { connect_timeout: \"5m\" }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startStatuswire(t, "--config", conf)
	for range 20 { // their closes are spread over the five minutes
		openBrowser(t, s)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(s.Log(), "stopping") {
		if time.Now().After(deadline) {
			t.Fatal("the first signal does nothing")
		}
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case <-s.ended:
		t.Fatal("it did not wait for its browsers")
	case <-time.After(100 * time.Millisecond):
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the second signal does nothing")
	}
}

var moduleIn = regexp.MustCompile(`(?m)^  import (.*\n)(  .*\n)+`)

// TestTheDemosSnippetRuns does what `serve --demo` tells its reader to do.
func TestTheDemosSnippetRuns(t *testing.T) {
	s := startStatuswire(t, "--demo")
	snippet := moduleIn.FindString(s.Log())
	if snippet == "" {
		t.Fatalf("no snippet in\n%s", s.Log())
	}
	dir, err := os.MkdirTemp("node", "snippet-") // where nats-core is installed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "hi.mjs"), []byte(snippet), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "--import", "../preload.mjs", "hi.mjs")
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := make(chan string, 1)
	go func() { // ends with the first line, or with the process
		line, _ := bufio.NewReader(out).ReadString('\n')
		lines <- line
	}()
	select {
	case line := <-lines:
		if !strings.HasPrefix(line, "status.demo.") || !strings.Contains(line, `"text":`) {
			t.Errorf("the snippet printed %q", line)
		}
	case <-time.After(30 * time.Second):
		t.Error("the snippet printed nothing")
	}
}
