package main

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks the first byte, which need not be there.
func lockFile(file *os.File) error {
	const atOnce = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(file.Fd()), atOnce, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}
