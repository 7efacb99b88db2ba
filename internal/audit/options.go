package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Options of a Recorder. Zero means the default everywhere.
type Options struct {
	// Window is how long a new record waits for more of its kind before it is
	// written. Default 1 s, at least 10 ms.
	Window time.Duration
	// MaxWindow is how long a record waits at most that goes on for long: the
	// time doubles with each writing. Default 1 min, at least Window.
	MaxWindow time.Duration
	// MaxOpen bounds the records of strangers that wait, and those of users; what
	// finds no room is counted in a record of kind overflow. Default 4096, some
	// 1 KiB each.
	MaxOpen int
	// Share is what one user, or one network of strangers, may have written; what is
	// more is counted in one record. Default 16 records, and one more a minute.
	Share Share
	// Strangers and Users bound what is written of all of them together, in bytes of
	// the stream. Default 4 MiB and 40 B a second, 16 MiB and 70 B a second: with the
	// records of what was left out that is less in 90 days than AUDIT holds.
	Strangers, Users Budget
	// MaxActBytes bounds the acts of administrators that wait for the stream; one
	// more is only logged. Default 16 MiB.
	MaxActBytes int
	// WriteTimeout bounds the wait for one acknowledgement, after which the
	// record is sent again. Default 2 s.
	WriteTimeout time.Duration
	// RetryWait is the pause before the first repetition; it doubles up to 16
	// times this. Default 250 ms.
	RetryWait time.Duration
	// FlushTimeout bounds what Stop takes, beside its context. Default 5 s.
	FlushTimeout time.Duration
	// Node names this process in each record. Default: it is left out.
	Node string
	// Logger hears of what cannot be written. Default: discard.
	Logger *slog.Logger
}

// Share is so many records at once, and then one each time that Every has passed.
type Share struct {
	Records int
	Every   time.Duration
}

// Budget is so many bytes at once, and PerSecond more of them.
type Budget struct {
	Burst     int
	PerSecond float64
}

// DefaultOptions are the options with every default filled in.
func DefaultOptions() Options {
	return Options{
		Window:       time.Second,
		MaxWindow:    time.Minute,
		MaxOpen:      4096,
		Share:        Share{Records: 16, Every: time.Minute},
		Strangers:    Budget{Burst: 4 << 20, PerSecond: 40},
		Users:        Budget{Burst: 16 << 20, PerSecond: 70},
		MaxActBytes:  16 << 20,
		WriteTimeout: 2 * time.Second,
		RetryWait:    250 * time.Millisecond,
		FlushTimeout: 5 * time.Second,
		Logger:       slog.New(slog.DiscardHandler),
	}
}

const minWindow = 10 * time.Millisecond

// Validate reports every value that cannot be used.
func (o Options) Validate() error {
	var errs []error
	if o.Window != 0 && o.Window < minWindow {
		errs = append(errs, fmt.Errorf("audit: window %v is too short: at least %v", o.Window, minWindow))
	}
	if d := o.withDefaults(); d.MaxWindow < d.Window {
		errs = append(errs, fmt.Errorf("audit: max window %v is shorter than the window %v: make it as long", d.MaxWindow, d.Window))
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"max open", o.MaxOpen}, {"records of a share", o.Share.Records}, {"max act bytes", o.MaxActBytes},
		{"burst of strangers", o.Strangers.Burst}, {"burst of users", o.Users.Burst},
		{"bytes per second of strangers", int(math.Floor(o.Strangers.PerSecond))}, {"bytes per second of users", int(math.Floor(o.Users.PerSecond))},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("audit: %s %d is negative: leave it out for the default", n.name, n.value))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"time of a share", o.Share.Every}, {"write timeout", o.WriteTimeout}, {"retry wait", o.RetryWait}, {"flush timeout", o.FlushTimeout}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("audit: %s %v is negative: leave it out for the default", d.name, d.value))
		}
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	setDefault(&o.Window, d.Window)
	setDefault(&o.MaxWindow, max(d.MaxWindow, o.Window))
	setDefault(&o.MaxOpen, d.MaxOpen)
	setDefault(&o.Share.Records, d.Share.Records)
	setDefault(&o.Share.Every, d.Share.Every)
	setDefault(&o.Strangers.Burst, d.Strangers.Burst)
	setDefault(&o.Strangers.PerSecond, d.Strangers.PerSecond)
	setDefault(&o.Users.Burst, d.Users.Burst)
	setDefault(&o.Users.PerSecond, d.Users.PerSecond)
	setDefault(&o.MaxActBytes, d.MaxActBytes)
	setDefault(&o.WriteTimeout, d.WriteTimeout)
	setDefault(&o.RetryWait, d.RetryWait)
	setDefault(&o.FlushTimeout, d.FlushTimeout)
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
