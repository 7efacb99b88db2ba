package bucket

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options are the settings of a Bucket. Zero means the default.
type Options struct {
	// LoadTimeout bounds the first load in Start, beside its context. Default 30s.
	LoadTimeout time.Duration
	// WriteTimeout bounds each write, retries and the wait for the view
	// included, beside its context. Default 10s. EditMany takes this long per
	// 1,000 keys at most.
	WriteTimeout time.Duration
	// MaxAttempts is how often a write is tried when others change the same
	// key. Default 16.
	MaxAttempts int
	// Window is how many writes of EditMany are under way at once. Default 512.
	Window int
	// Heartbeat is how often an idle watch must show life; after two that are
	// missing it counts as broken. Default 1s, at least 500ms.
	Heartbeat time.Duration
	// Storable says whether the bucket can store. It is asked before every attempt
	// of a write, so it answers from memory; its error is told to who writes.
	// Default: it can.
	Storable func() error
	// Logger takes broken entries and broken watches. Default: discard.
	Logger *slog.Logger
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		LoadTimeout:  30 * time.Second,
		WriteTimeout: 10 * time.Second,
		MaxAttempts:  16,
		Window:       512,
		Heartbeat:    time.Second,
		Storable:     func() error { return nil },
		Logger:       slog.New(slog.DiscardHandler),
	}
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	o = o.withDefaults()
	switch {
	case o.LoadTimeout < 0 || o.WriteTimeout < 0:
		return errors.New("load timeout and write timeout must not be negative")
	case o.MaxAttempts < 0 || o.Window < 0:
		return errors.New("max attempts and window must not be negative")
	case o.Heartbeat < 500*time.Millisecond || o.Heartbeat > 10*time.Second:
		return fmt.Errorf("heartbeat %v is out of range: use 500ms to 10s", o.Heartbeat)
	}
	return nil
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	if o.LoadTimeout == 0 {
		o.LoadTimeout = d.LoadTimeout
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = d.WriteTimeout
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = d.MaxAttempts
	}
	if o.Window == 0 {
		o.Window = d.Window
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = d.Heartbeat
	}
	if o.Storable == nil {
		o.Storable = d.Storable
	}
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}
