package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/keyring"
)

// Options are the settings of a Service. Zero means the default.
type Options struct {
	// Timeout bounds each request. Default 10s.
	Timeout time.Duration
	// Settle is how long delete waits for statuses that are on the way before it
	// purges again; see the package comment. Default 100ms.
	Settle time.Duration
	// Stream is the stream of the statuses. Default "STATUS".
	Stream string
	// Version is what `nats micro info admin` shows. Default "0.0.0".
	Version string
	// Sessions are what session.list, session.kick and the subscribers of
	// conversation.show are read from. Default: there are no such endpoints.
	Sessions Sessions
	// Keyring are the named keys. Default: there are no such endpoints.
	Keyring Keyring
	// BuiltInKeys are those of DIR/keys, for key.list.
	BuiltInKeys []BuiltInKey
	// RoleAvailable is an error when nats.conf does not say what keys of the role may
	// do. Default: every role is available.
	RoleAvailable func(keyring.Role) error
	// Explainer answers why. Default: there is no such endpoint.
	Explainer Explainer
	// Audit takes each change. Default: nobody hears.
	Audit Recorder
	// Logger takes each change, and the causes that callers are not told.
	// Default: discard.
	Logger *slog.Logger
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Timeout: 10 * time.Second,
		Settle:  100 * time.Millisecond,
		Stream:  "STATUS",
		Version: "0.0.0",
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	o = o.withDefaults()
	switch {
	case o.Timeout < time.Second || o.Timeout > time.Minute:
		return fmt.Errorf("timeout %v is out of range: use 1s to 1m", o.Timeout)
	case o.Settle < 0 || o.Settle > o.Timeout/2:
		return errors.New("settle must be between 0s and half of timeout")
	}
	return nil
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	if o.Timeout == 0 {
		o.Timeout = d.Timeout
	}
	if o.Settle == 0 {
		o.Settle = d.Settle
	}
	if o.Stream == "" {
		o.Stream = d.Stream
	}
	if o.Version == "" {
		o.Version = d.Version
	}
	if o.RoleAvailable == nil {
		o.RoleAvailable = func(keyring.Role) error { return nil }
	}
	if o.Audit == nil {
		o.Audit = nobody{}
	}
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}

// nobody hears events.
type nobody struct{}

func (nobody) Record(audit.Event) {}
