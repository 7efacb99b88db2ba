package presence

import "errors"

// ErrStarted is what Start returns when the tracker is not in the right part of
// its life.
var ErrStarted = errors.New("the presence tracker was started or stopped already: make a new one")
