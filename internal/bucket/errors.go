package bucket

import (
	"errors"
	"fmt"
)

// What writes return beside what their decision returned.
var (
	// ErrConflict: others kept changing the key; nothing was written.
	ErrConflict = errors.New("the entry is being changed by others: try again")
	// ErrUnavailable: the bucket does not work at the moment. For a write it is
	// open whether it took place.
	ErrUnavailable = errors.New("the bucket is not available: try again")
)

func unavailable(err error) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
