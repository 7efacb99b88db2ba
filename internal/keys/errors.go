package keys

import "fmt"

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
