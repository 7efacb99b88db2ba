package audit

import "errors"

// ErrStarted is returned by a second Start, also after Stop.
var ErrStarted = errors.New("the audit was started already: make another one")
