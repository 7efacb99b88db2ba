//go:build unix

package storagetest

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// Alone runs the test once more in a process of its own, and is true there: a limit on
// the size of files holds for the whole process, the go command's log of the test in it.
func Alone(t *testing.T) bool {
	t.Helper()
	const variable = "STATUSWIRE_TEST_ALONE"
	if os.Getenv(variable) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), variable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// FullDisk lets no file of this process grow beyond some bytes, which is to the
// server what a full disk is, until the test calls the returned function.
func FullDisk(t *testing.T, bytes uint64) (free func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // the write then fails with EFBIG
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	full := before
	setLimit(&full.Cur, bytes)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	free = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(free)
	return free
}

// setLimit sets what is signed on some systems (FreeBSD).
func setLimit[N int64 | uint64](to *N, bytes uint64) { *to = N(bytes) }
