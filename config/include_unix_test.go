//go:build unix

package config_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/statuswire/statuswire/config"
)

// Reading it would wait for somebody who writes into it, for ever.
func TestAnIncludedPipeIsAnError(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := syscall.Mkfifo("pipe.conf", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", "zero.conf"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe.conf", "zero.conf"} {
		write(t, "statuswire.conf", "\ninclude "+name)
		_, err := config.Load(config.Files{}, nil)
		says(`FILE:2: included file "`+name+`" is no regular file`)(t, "statuswire.conf", err)
	}
}
