package mark

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options of a Store and its Keeper. Zero means the default everywhere.
type Options struct {
	// Keep is how long marks are kept after their connection has ended. Default 2 min.
	Keep time.Duration
	// MaxKeys is how many keys may have marks, of connections that are open and of
	// such that have ended. Above it the one that ended first is forgotten; if all
	// are open, a new connection gets no marks. Default 10,000.
	MaxKeys int
	// MaxBytes bounds the memory that all marks take, in the same way. It is an
	// estimate. Default 32 MiB.
	MaxBytes int
	// MaxAwayPerUser is how many keys of one user may have marks without an open
	// connection, so that nobody drives out the others. Default 64.
	MaxAwayPerUser int
	// WriteEvery is how often what changed goes to the stream. Default 5 s.
	WriteEvery time.Duration
	// RewriteEvery is how often what did not change goes there again, before the
	// stream's own age limit takes it. Default 1 min.
	RewriteEvery time.Duration
	// MaxWriteRate is how many bytes a second go to the stream on average, which
	// is bounded: above it the writing is less often. Default 1 MiB.
	MaxWriteRate int
	// Timeout bounds one request to the stream, and reading it back. Default 5 s.
	Timeout time.Duration
	// Logger takes what an operator should know. Default: discard.
	Logger *slog.Logger
}

// DefaultOptions returns the defaults that the fields name.
func DefaultOptions() Options {
	return Options{
		Keep:           2 * time.Minute,
		MaxKeys:        10_000,
		MaxBytes:       32 << 20,
		MaxAwayPerUser: 64,
		WriteEvery:     5 * time.Second,
		RewriteEvery:   time.Minute,
		MaxWriteRate:   1 << 20,
		Timeout:        5 * time.Second,
		Logger:         slog.New(slog.DiscardHandler),
	}
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	o.Keep = cmp.Or(o.Keep, d.Keep)
	o.MaxKeys = cmp.Or(o.MaxKeys, d.MaxKeys)
	o.MaxBytes = cmp.Or(o.MaxBytes, d.MaxBytes)
	o.MaxAwayPerUser = cmp.Or(o.MaxAwayPerUser, d.MaxAwayPerUser)
	o.WriteEvery = cmp.Or(o.WriteEvery, d.WriteEvery)
	o.RewriteEvery = cmp.Or(o.RewriteEvery, d.RewriteEvery)
	o.MaxWriteRate = cmp.Or(o.MaxWriteRate, d.MaxWriteRate)
	o.Timeout = cmp.Or(o.Timeout, d.Timeout)
	o.Logger = cmp.Or(o.Logger, d.Logger)
	return o
}

// Validate reports every value that cannot be used.
func (o Options) Validate() error {
	o = o.withDefaults()
	var errs []error
	atLeast := func(name string, got, least int) {
		if got < least {
			errs = append(errs, fmt.Errorf("marks: %s is %d: it must be at least %d", name, got, least))
		}
	}
	positive := func(name string, got time.Duration) {
		if got < time.Millisecond {
			errs = append(errs, fmt.Errorf("marks: %s is %v: it must be at least 1ms", name, got))
		}
	}
	positive("Keep", o.Keep)
	atLeast("MaxKeys", o.MaxKeys, 1)
	atLeast("MaxBytes", o.MaxBytes, 1)
	atLeast("MaxAwayPerUser", o.MaxAwayPerUser, 2)
	positive("WriteEvery", o.WriteEvery)
	positive("RewriteEvery", o.RewriteEvery)
	atLeast("MaxWriteRate", o.MaxWriteRate, 1)
	positive("Timeout", o.Timeout)
	return errors.Join(errs...)
}
