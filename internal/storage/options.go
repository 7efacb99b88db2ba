package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options of a Watch. Zero means the default everywhere.
type Options struct {
	// Every is how often the engine is asked. Default 1 s.
	Every time.Duration
	// AnswerTimeout is how long the disk may take for an answer before it counts
	// as failing. Default 5 s.
	AnswerTimeout time.Duration
	// StuckAfter is when a look that has not ended means that only a new process
	// helps. Default 2 min.
	StuckAfter time.Duration
	// ProbeBytes is how much the folder must take before a new server is started.
	// Default 1 MiB: a status has at most 72 KiB, and each stream writes an index.
	ProbeBytes int64
	// ProbeFiles is how many file descriptors must be free. Default 32: a block and
	// an index for each stream, the listeners, and services that come back.
	ProbeFiles int
	// RestartTimeout bounds one start of a new server. Default 2 min.
	RestartTimeout time.Duration
	// FirstWait is the least time between two restarts; it doubles up to
	// LongestWait while they do not help for long. Defaults 2 s and 1 min.
	FirstWait, LongestWait time.Duration
	// Calm is how long all must have been well for a restart to be forgotten.
	// Default 10 min.
	Calm time.Duration
	// GiveUpAfter is how long restarts may fail one after the other although the
	// folder takes what is written. Default 5 min.
	GiveUpAfter time.Duration
	// OnChange hears of every change, in order, from one goroutine. Default: nobody.
	OnChange func(Change)
	// Logger says what fails and that it is well again. Default: discard.
	Logger *slog.Logger
}

// DefaultOptions are the options with every default filled in.
func DefaultOptions() Options {
	return Options{
		Every:          time.Second,
		AnswerTimeout:  5 * time.Second,
		StuckAfter:     2 * time.Minute,
		ProbeBytes:     1 << 20,
		ProbeFiles:     32,
		RestartTimeout: 2 * time.Minute,
		FirstWait:      2 * time.Second,
		LongestWait:    time.Minute,
		Calm:           10 * time.Minute,
		GiveUpAfter:    5 * time.Minute,
		OnChange:       func(Change) {},
		Logger:         slog.New(slog.DiscardHandler),
	}
}

// Validate reports every value that cannot be used.
func (o Options) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"every", o.Every}, {"answer timeout", o.AnswerTimeout}, {"stuck after", o.StuckAfter},
		{"restart timeout", o.RestartTimeout}, {"first wait", o.FirstWait}, {"longest wait", o.LongestWait},
		{"calm", o.Calm}, {"give up after", o.GiveUpAfter},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("storage: %s %v is negative: leave it out for the default", d.name, d.value))
		}
	}
	if o.ProbeBytes < 0 {
		errs = append(errs, fmt.Errorf("storage: probe bytes %d is negative: leave it out for the default", o.ProbeBytes))
	}
	if o.ProbeFiles < 0 {
		errs = append(errs, fmt.Errorf("storage: probe files %d is negative: leave it out for the default", o.ProbeFiles))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	setDefault(&o.Every, d.Every)
	setDefault(&o.AnswerTimeout, d.AnswerTimeout)
	setDefault(&o.StuckAfter, d.StuckAfter)
	setDefault(&o.ProbeBytes, d.ProbeBytes)
	setDefault(&o.ProbeFiles, d.ProbeFiles)
	setDefault(&o.RestartTimeout, d.RestartTimeout)
	setDefault(&o.FirstWait, d.FirstWait)
	setDefault(&o.LongestWait, max(d.LongestWait, o.FirstWait))
	setDefault(&o.Calm, d.Calm)
	setDefault(&o.GiveUpAfter, d.GiveUpAfter)
	if o.OnChange == nil {
		o.OnChange = d.OnChange
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
