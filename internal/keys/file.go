package keys

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// worldBits are the permissions of users who are neither the owner nor in the
// group. The group is left alone: Kubernetes (fsGroup) gives it access to every
// file of a volume on each mount.
const worldBits fs.FileMode = 0o007

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read a key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read a key: %w", err)
	}
	if perm := info.Mode().Perm(); runtime.GOOS != "windows" && perm&worldBits != 0 {
		return nil, fmt.Errorf("%s is open to every user of this machine (mode %04o): run `chmod 600 %s`, and replace the key if others may have seen it", path, perm, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read a key: %w", err)
	}
	return bytes.TrimSpace(text), nil
}

// write makes the file in one step, so that a crash leaves either no key or a
// whole one.
func write(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp makes it 0600
	if err != nil {
		return fmt.Errorf("cannot write a key: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed, as it should
	_, err = tmp.Write(append(bytes.Clone(text), '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot write a key: %w", err)
	}
	return nil
}
