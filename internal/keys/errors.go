package keys

import (
	"fmt"
	"io/fs"
)

// MissingError says that a data folder has no keys yet, or not all. It wraps
// os.ErrNotExist.
type MissingError struct {
	DataDir string
	err     error
}

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("no keys in %s: start `statuswire serve --data %s` once", e.DataDir, e.DataDir)
}

// Unwrap implements errors.Unwrap.
func (e *MissingError) Unwrap() error { return e.err }

// OpenError says that every user of the machine has access to a secret.
type OpenError struct {
	Path string
	Mode fs.FileMode // the permission bits
	Dir  bool        // it is the folder of the secret
}

// Error implements error.
func (e *OpenError) Error() string {
	mode := "600"
	if e.Dir {
		mode = "700"
	}
	return fmt.Sprintf("%s is open to every user of this machine (mode %04o): run `chmod %s %s`", e.Path, e.Mode, mode, e.Path)
}
