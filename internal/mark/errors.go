package mark

import "errors"

// ErrStarted is returned when a Keeper is started a second time, or after Stop.
var ErrStarted = errors.New("marks: the keeper was started or stopped before: make a new one")
