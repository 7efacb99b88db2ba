//go:build e2e

package test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// endWithTests has the kernel kill the process when the thread that starts it ends,
// which it does with this process at the latest: a test that times out runs no cleanup.
func endWithTests(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

const orphanParent = "STATUSWIRE_TEST_ORPHAN"

// TestAServerEndsWithATestThatTimesOut runs itself in another process, which starts a
// server and ends as a time-out does, by a panic.
func TestAServerEndsWithATestThatTimesOut(t *testing.T) {
	if os.Getenv(orphanParent) != "" {
		s := startStatuswire(t)
		fmt.Println(s.cmd.Process.Pid, s.HTTP)
		_, _ = io.Copy(io.Discard, os.Stdin)
		go panic("the tests have timed out")
		select {}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), orphanParent+"=1", "STATUSWIRE_BIN="+binary(t))
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
	var pid int
	var url string
	_, err = fmt.Fscan(bufio.NewReader(stdout), &pid, &url)
	stdin.Close()
	if ended := cmd.Wait(); err != nil || ended == nil {
		t.Fatalf("the other process has said %d %q (%v) and ended with %v", pid, url, err, ended)
	}
	for deadline := time.Now().Add(stopTimeout); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(url + "/healthz")
		if err != nil {
			return
		}
		res.Body.Close()
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the server runs on")
		}
	}
}
