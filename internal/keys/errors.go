package keys

import (
	"fmt"
	"io/fs"
)

// MissingError says that a data folder does not have a key which each start makes. It
// wraps os.ErrNotExist.
type MissingError struct {
	DataDir string
	Path    string // of the key
	err     error
}

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("there is no %s: a start of `statuswire serve --data %s` makes it", e.Path, e.DataDir)
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
