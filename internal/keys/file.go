package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// worldBits are the permissions of users who are neither the owner nor in the
// group. The group is left alone: Kubernetes (fsGroup) gives it access to every
// file of a volume on each mount. So is the owner, who may not be who runs this
// (a mounted folder): what others may not read, this process reads only because
// it is in the group or is root, and both are somebody's intent.
const worldBits fs.FileMode = 0o007

// MaxSecretFileBytes bounds a file with a secret: what is longer is another file.
const MaxSecretFileBytes = 64 << 10

// ReadSecretFile reads a file that holds a secret, the line break at its end
// included. One that every user of the machine may read or write is an *OpenError; what
// is no regular file, or longer than MaxSecretFileBytes, is refused as well. What
// is checked is what is read, whatever becomes of the path meanwhile. Errors never
// hold what is in the file.
func ReadSecretFile(path string) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if err := checkMode(path, info.Mode(), worldBits); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSecretFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxSecretFileBytes {
		return nil, fmt.Errorf("%s is longer than %d bytes: it is another file than one with a secret", path, MaxSecretFileBytes)
	}
	return text, nil
}

// CheckSecretFile says whether a file that somebody else reads would be an
// *OpenError here. It is advice only: the path may come to name another file.
func CheckSecretFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return checkMode(path, info.Mode(), worldBits)
}

func read(path string) ([]byte, error) {
	text, err := ReadSecretFile(path)
	var open *OpenError
	switch {
	case errors.As(err, &open):
		return nil, fmt.Errorf("%w, and replace the key if others may have seen it", err)
	case err != nil:
		return nil, fmt.Errorf("cannot read a key: %w", err)
	}
	return bytes.TrimSpace(text), nil
}

// checkDir refuses a folder in which every user of the machine may put another
// key in the place of ours.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("cannot look at the folder of the keys: %w", err)
	}
	const othersWrite = 0o002
	if info.Mode()&fs.ModeSticky != 0 { // there only a file's owner may replace it
		return nil
	}
	return checkMode(dir, info.Mode(), othersWrite)
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

// writeNew makes a file that is not there yet, whole or not at all as far as an
// error tells.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write a key: %w", err)
	}
	_, err = f.Write(append(bytes.Clone(text), '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write a key: %w", err), os.Remove(path))
	}
	return nil
}
