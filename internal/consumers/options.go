package consumers

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options of a Service. Zero means the default everywhere.
type Options struct {
	// MaxConsumers is how many of the stream there may be at once. Default 64.
	MaxConsumers int
	// Timeout bounds what JetStream is asked for one request. Default 2 s.
	Timeout time.Duration
	// Logger hears of failures. Default: discard.
	Logger *slog.Logger
}

// DefaultOptions are the options with every default filled in.
func DefaultOptions() Options {
	return Options{MaxConsumers: 64, Timeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)}
}

// Validate reports every value that cannot be used.
func (o Options) Validate() error {
	var errs []error
	if o.MaxConsumers < 0 {
		errs = append(errs, fmt.Errorf("consumers: max consumers %d is negative: leave it out for the default", o.MaxConsumers))
	}
	if o.Timeout < 0 {
		errs = append(errs, fmt.Errorf("consumers: timeout %v is negative: leave it out for the default", o.Timeout))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	if o.MaxConsumers == 0 {
		o.MaxConsumers = d.MaxConsumers
	}
	if o.Timeout == 0 {
		o.Timeout = d.Timeout
	}
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}
