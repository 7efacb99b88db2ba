//go:build unix

package keys

import (
	"io/fs"
	"os"
	"syscall"
)

// openFile does not wait for the other end of a named pipe, which is refused once
// it is open.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// checkMode is an *OpenError when the mode has one of the bits.
func checkMode(path string, mode, bits fs.FileMode) error {
	if mode.Perm()&bits == 0 {
		return nil
	}
	return &OpenError{Path: path, Mode: mode.Perm(), Dir: mode.IsDir()}
}
