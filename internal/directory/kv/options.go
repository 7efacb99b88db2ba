package kv

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"
)

// Options are the settings of a Directory. Zero means the default.
type Options struct {
	// Bucket is the name of the key-value bucket, which must exist. Default "directory".
	Bucket string
	// LoadTimeout bounds the first load in Start, beside its context. Default 30s.
	LoadTimeout time.Duration
	// WriteTimeout bounds each write, retries and the wait for the view
	// included, beside its context. Default 10s. Import takes this long per
	// 1,000 conversations at most.
	WriteTimeout time.Duration
	// MaxAttempts is how often a write is tried when others change the same
	// conversation. Default 16.
	MaxAttempts int
	// ImportWindow is how many writes of an import are under way at once. Default 512.
	ImportWindow int
	// Heartbeat is how often an idle watch must show life; after two that are
	// missing it counts as broken. Default 1s, at least 500ms.
	Heartbeat time.Duration
	// Logger takes broken entries and broken watches. Default: discard.
	Logger *slog.Logger
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Bucket:       "directory",
		LoadTimeout:  30 * time.Second,
		WriteTimeout: 10 * time.Second,
		MaxAttempts:  16,
		ImportWindow: 512,
		Heartbeat:    time.Second,
		Logger:       slog.New(slog.DiscardHandler),
	}
}

var validBucket = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	o = o.withDefaults()
	switch {
	case !validBucket.MatchString(o.Bucket):
		return fmt.Errorf("bucket %q: only A-Z a-z 0-9 _ and - are allowed", o.Bucket)
	case o.LoadTimeout < 0 || o.WriteTimeout < 0:
		return errors.New("load timeout and write timeout must not be negative")
	case o.MaxAttempts < 0 || o.ImportWindow < 0:
		return errors.New("max attempts and import window must not be negative")
	case o.Heartbeat < 500*time.Millisecond || o.Heartbeat > 10*time.Second:
		return fmt.Errorf("heartbeat %v is out of range: use 500ms to 10s", o.Heartbeat)
	}
	return nil
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	if o.Bucket == "" {
		o.Bucket = d.Bucket
	}
	if o.LoadTimeout == 0 {
		o.LoadTimeout = d.LoadTimeout
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = d.WriteTimeout
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = d.MaxAttempts
	}
	if o.ImportWindow == 0 {
		o.ImportWindow = d.ImportWindow
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = d.Heartbeat
	}
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}
