package broadcaster

import (
	"errors"
	"fmt"
	"log/slog"
)

// Options of a Broadcaster. Zero means the default everywhere.
type Options struct {
	// Workers is the number of goroutines that check statuses. All statuses of a
	// conversation go through the same one, which keeps their order. Default 4:
	// not for speed, one alone checks more than a stream can store, but so that
	// a slow answer of the directory holds up only some conversations.
	Workers int
	// QueueLength is how many statuses may wait for each worker. Default 1024.
	QueueLength int
	// MaxPendingBytes is how much may wait to be handed to the workers. What
	// arrives beyond is refused with status.ErrOverloaded, beyond twice as much
	// it is dropped. Default 64 MiB.
	MaxPendingBytes int
	// Storable says whether the stream can store. It is asked for every status, so
	// it answers from memory; its error is told to the publisher. Default: it can.
	Storable func() error
	// Logger gets failures, and refusals that could not be answered. Payloads
	// are never logged. Default: discard.
	Logger *slog.Logger
}

// DefaultOptions are the options with every default filled in.
func DefaultOptions() Options {
	return Options{
		Workers:         4,
		QueueLength:     1024,
		MaxPendingBytes: 64 << 20,
		Storable:        func() error { return nil },
		Logger:          slog.New(slog.DiscardHandler),
	}
}

// Validate reports every value that cannot be used.
func (o Options) Validate() error {
	var errs []error
	atLeastOne := func(name string, value int) {
		if value < 0 {
			errs = append(errs, fmt.Errorf("broadcaster: %s is %d: at least 1, or 0 for the default", name, value))
		}
	}
	atLeastOne("workers", o.Workers)
	atLeastOne("queue length", o.QueueLength)
	atLeastOne("max pending bytes", o.MaxPendingBytes)
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	if o.Workers == 0 {
		o.Workers = d.Workers
	}
	if o.QueueLength == 0 {
		o.QueueLength = d.QueueLength
	}
	if o.MaxPendingBytes == 0 {
		o.MaxPendingBytes = d.MaxPendingBytes
	}
	if o.Storable == nil {
		o.Storable = d.Storable
	}
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}
