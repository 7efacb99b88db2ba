package engine

import (
	"errors"
	"fmt"
)

// What the methods of an Engine return when it is not in the right part of its life.
var (
	ErrNotRunning = errors.New("the NATS server is not running")
	ErrStarted    = errors.New("the NATS server was started already: make a new engine")
)

// ConfigError is one fault in nats.conf.
type ConfigError struct {
	File string // the name given in Options.ConfigName, or the included file
	Line int    // from 1; 0 when the fault is that something is missing
	Text string // what is wrong and what to do
}

// Error is "nats.conf:12: unknown field "foo"".
func (e *ConfigError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Text)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}
