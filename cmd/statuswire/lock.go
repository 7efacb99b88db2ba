package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errLocked is what lockFile returns for a file that another process has locked.
var errLocked = errors.New("another process has it")

// lockDataDir keeps a second server out of the data folder: two would ruin the
// streams. The kernel lets go of the lock when the process ends, however it does.
func lockDataDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the data folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the data folder: %w", err)
	}
	err = lockFile(file)
	if err == nil {
		return func() { file.Close() }, nil
	}
	file.Close()
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("another server runs with the data folder %s: stop it, or name another folder with --data", dir)
	}
	return nil, fmt.Errorf("cannot lock the data folder %s: %w", dir, err)
}
