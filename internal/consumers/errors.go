package consumers

import "errors"

// ErrStarted is what a second Start returns, also after Stop.
var ErrStarted = errors.New("consumers: it was started or stopped before: make a new one")
