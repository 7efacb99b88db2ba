//go:build unix

package keys_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/statuswire/statuswire/internal/keys"
)

// A start must not wait for somebody who writes into a pipe.
func TestANamedPipeIsRefusedWithoutWaiting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.ReadSecretFile(path); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("error %v, want one that says no regular file", err)
	}
}
