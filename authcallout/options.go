package authcallout

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"
)

// Options of a Service. Zero means the default everywhere.
type Options struct {
	// Account is the NATS account that browsers are put in. Default "STATUS".
	Account string
	// Workers is how many requests are decided at the same time. Default: four
	// for each processor, at least 8, since a worker may wait for a directory.
	Workers int
	// QueueLength is how many requests may wait for a worker; one more is
	// denied at once, not finally. Default 1024.
	QueueLength int
	// Timeout bounds a request from its arrival. It has to be below the
	// server's authorization timeout (2 s), so that a slow directory ends in
	// an answer. Default 1.5 s.
	Timeout time.Duration
	// GrantLifetime bounds a grant whose token lives longer. Default 1 h, at
	// least 1 s.
	GrantLifetime time.Duration
	// MaxSubscriptions and MaxPayloadBytes go into each grant, for the gateway
	// to enforce. Default 64 and 65536.
	MaxSubscriptions int
	MaxPayloadBytes  int
	// MaxCategories and ChangesPerMinute go into each grant as its tags
	// "categories:10" and "changes:30". Default 10 and 30.
	MaxCategories    int
	ChangesPerMinute int
	// MaxConversations bounds what one grant covers. Default 100.
	MaxConversations int
	// NativeWebSocket lets clients of nats-server's own WebSocket listener in,
	// without a gateway and its limits. Default: they are denied.
	NativeWebSocket bool
	// OnVerdict hears of each verdict, for audit and metrics, from the worker
	// that reached it: it must not block. Default: nobody hears.
	OnVerdict func(Verdict)
	// Logger gets what the browser is not told. Never a token. Default: discard.
	Logger *slog.Logger
}

// DefaultOptions are the options with every default filled in.
func DefaultOptions() Options {
	return Options{
		Account:          "STATUS",
		Workers:          max(8, 4*runtime.GOMAXPROCS(0)),
		QueueLength:      1024,
		Timeout:          1500 * time.Millisecond,
		GrantLifetime:    time.Hour,
		MaxSubscriptions: 64,
		MaxPayloadBytes:  64 << 10,
		MaxCategories:    10,
		ChangesPerMinute: 30,
		MaxConversations: 100,
		OnVerdict:        func(Verdict) {},
		Logger:           slog.New(slog.DiscardHandler),
	}
}

// Validate reports every value that cannot be used.
func (o Options) Validate() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int
	}{
		{"workers", o.Workers},
		{"queue length", o.QueueLength},
		{"max subscriptions", o.MaxSubscriptions},
		{"max payload bytes", o.MaxPayloadBytes},
		{"max categories", o.MaxCategories},
		{"changes per minute", o.ChangesPerMinute},
		{"max conversations", o.MaxConversations},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("authcallout: %s %d is negative: leave it out for the default", n.name, n.value))
		}
	}
	if o.Timeout < 0 {
		errs = append(errs, fmt.Errorf("authcallout: timeout %v is negative: leave it out for the default", o.Timeout))
	}
	if o.GrantLifetime != 0 && o.GrantLifetime < time.Second {
		errs = append(errs, fmt.Errorf("authcallout: grant lifetime %v is too short: at least 1s", o.GrantLifetime))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	setDefault(&o.Account, d.Account)
	setDefault(&o.Workers, d.Workers)
	setDefault(&o.QueueLength, d.QueueLength)
	setDefault(&o.Timeout, d.Timeout)
	setDefault(&o.GrantLifetime, d.GrantLifetime)
	setDefault(&o.MaxSubscriptions, d.MaxSubscriptions)
	setDefault(&o.MaxPayloadBytes, d.MaxPayloadBytes)
	setDefault(&o.MaxCategories, d.MaxCategories)
	setDefault(&o.ChangesPerMinute, d.ChangesPerMinute)
	setDefault(&o.MaxConversations, d.MaxConversations)
	if o.OnVerdict == nil {
		o.OnVerdict = d.OnVerdict
	}
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}

func setDefault[T comparable](value *T, d T) {
	var zero T
	if *value == zero {
		*value = d
	}
}
