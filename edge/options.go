package edge

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options of a Service. Zero means the default everywhere.
type Options struct {
	// AtOnce is how many requests are answered at the same time, but for histories, and
	// UserAtOnce how many of one user; operators count as one. Default 16, and 2.
	AtOnce     int
	UserAtOnce int
	// Waiting is how many more requests wait for their turn, and UserWaiting how many of
	// one user; one more is refused. Default 4096, and 128: a browser may have 64.
	Waiting     int
	UserWaiting int
	// MaxAnswerBytes bounds the statuses and members of one answer; what is left out is
	// told. It is a quarter of the queue of a browser's socket. Default 256 KiB.
	MaxAnswerBytes int
	// UserBytesPerSecond is how much the answers to one user may have in a second, and
	// again how much the batches of histories: who asks for more waits for it. Default
	// 8 MiB: 32 of the largest answers, or one of the largest histories.
	UserBytesPerSecond int
	// UserSteadyBytesPerSecond is the same in the long run, beyond UserBurstBytes after a
	// quiet time. Default 2 MiB, and 8 MiB.
	UserSteadyBytesPerSecond int
	UserBurstBytes           int
	// Timeout bounds each request from its arrival. Default 2 s.
	Timeout time.Duration
	// History bounds the reading of stored statuses.
	History HistoryOptions
	// Limits are shown to browsers; the gateway enforces them.
	Limits Limits
	// Version is what `nats micro` shows, as semver.org has it. Default "0.0.0".
	Version string
	// Logger gets what the asker is not told. Default: discard.
	Logger *slog.Logger
}

// Limits are a connection's limits as a join shows them. Zero means the default.
type Limits struct {
	Categories       int `json:"categories"`         // default 10
	ChangesPerMinute int `json:"changes_per_minute"` // of subscriptions, default 30
	Subscriptions    int `json:"subscriptions"`      // of any kind, default 64
	PayloadBytes     int `json:"payload_bytes"`      // default 65536
}

// HistoryOptions bound each request for stored statuses, and how many there are.
// Zero means the default.
type HistoryOptions struct {
	// MaxStatuses is the highest limit that a request may name. Default 10,000.
	MaxStatuses int
	// MaxBytes bounds the statuses of one answer, headers included; what is left
	// has to be asked for again. Default 8 MiB.
	MaxBytes int
	// MaxAge bounds an answer from the arrival of its request; what is left has to be
	// asked for again. Default 45 s.
	MaxAge time.Duration
	// FlowTimeout is how long a browser may leave no room before its answer is
	// cut, and how long an answer may find nothing to send. It is below the gateway's
	// RequestTimeout. Default 20 s.
	FlowTimeout time.Duration
	// PerUser is how many answers one user may have under way; operators count
	// as one. One more is refused. Default 4.
	PerUser int
	// AtOnce is how many answers of all users together are being read. One that waits
	// for a slow browser is not. Default 64.
	AtOnce int
	// Waiting is how many more requests wait, their users in turn, until they are: when
	// many browsers come back together. One more is refused as overloaded. Default 4096.
	Waiting int
	// WaitTimeout is how long; then it is refused as well. It is below the
	// gateway's RequestTimeout. Default 15 s.
	WaitTimeout time.Duration
}

// DefaultOptions are the options with every default filled in.
func DefaultOptions() Options {
	return Options{
		AtOnce:         16,
		UserAtOnce:     2,
		Waiting:        4096,
		UserWaiting:    128,
		MaxAnswerBytes: 256 << 10,

		UserBytesPerSecond:       8 << 20,
		UserSteadyBytesPerSecond: 2 << 20,
		UserBurstBytes:           8 << 20,

		Timeout: 2 * time.Second,
		History: HistoryOptions{
			MaxStatuses: 10_000,
			MaxBytes:    8 << 20,
			MaxAge:      45 * time.Second,
			FlowTimeout: 20 * time.Second,
			PerUser:     4,
			AtOnce:      64,
			Waiting:     4096,
			WaitTimeout: 15 * time.Second,
		},
		Limits:  Limits{Categories: 10, ChangesPerMinute: 30, Subscriptions: 64, PayloadBytes: 64 << 10},
		Version: "0.0.0",
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// Validate reports every value that cannot be used.
func (o Options) Validate() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int
	}{
		{"requests at once", o.AtOnce},
		{"requests of one user at once", o.UserAtOnce},
		{"requests that wait", o.Waiting},
		{"requests of one user that wait", o.UserWaiting},
		{"bytes of an answer", o.MaxAnswerBytes},
		{"bytes of one user's answers in a second", o.UserBytesPerSecond},
		{"bytes of one user's answers in a second in the long run", o.UserSteadyBytesPerSecond},
		{"bytes of one user's answers after a quiet time", o.UserBurstBytes},
		{"history: most statuses", o.History.MaxStatuses},
		{"history: most bytes", o.History.MaxBytes},
		{"history: answers of one user", o.History.PerUser},
		{"history: answers at once", o.History.AtOnce},
		{"history: requests that wait", o.History.Waiting},
		{"limit of categories", o.Limits.Categories},
		{"limit of changes per minute", o.Limits.ChangesPerMinute},
		{"limit of subscriptions", o.Limits.Subscriptions},
		{"limit of payload bytes", o.Limits.PayloadBytes},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("edge: %s %d is negative: leave it out for the default", n.name, n.value))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"timeout", o.Timeout},
		{"history: age", o.History.MaxAge},
		{"history: flow timeout", o.History.FlowTimeout},
		{"history: wait timeout", o.History.WaitTimeout},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("edge: %s %v is negative: leave it out for the default", d.name, d.value))
		}
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	setDefault(&o.AtOnce, d.AtOnce)
	setDefault(&o.UserAtOnce, d.UserAtOnce)
	setDefault(&o.Waiting, d.Waiting)
	setDefault(&o.UserWaiting, d.UserWaiting)
	setDefault(&o.MaxAnswerBytes, d.MaxAnswerBytes)
	setDefault(&o.UserBytesPerSecond, d.UserBytesPerSecond)
	setDefault(&o.UserSteadyBytesPerSecond, d.UserSteadyBytesPerSecond)
	setDefault(&o.UserBurstBytes, d.UserBurstBytes)
	setDefault(&o.Timeout, d.Timeout)
	setDefault(&o.History.MaxStatuses, d.History.MaxStatuses)
	setDefault(&o.History.MaxBytes, d.History.MaxBytes)
	setDefault(&o.History.MaxAge, d.History.MaxAge)
	setDefault(&o.History.FlowTimeout, d.History.FlowTimeout)
	setDefault(&o.History.PerUser, d.History.PerUser)
	setDefault(&o.History.AtOnce, d.History.AtOnce)
	setDefault(&o.History.Waiting, d.History.Waiting)
	setDefault(&o.History.WaitTimeout, d.History.WaitTimeout)
	setDefault(&o.Limits.Categories, d.Limits.Categories)
	setDefault(&o.Limits.ChangesPerMinute, d.Limits.ChangesPerMinute)
	setDefault(&o.Limits.Subscriptions, d.Limits.Subscriptions)
	setDefault(&o.Limits.PayloadBytes, d.Limits.PayloadBytes)
	setDefault(&o.Version, d.Version)
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}

// pace is how many bytes of answers, and again of histories, a user may have.
func (o Options) pace() pace {
	return pace{peak: o.UserBytesPerSecond, steady: o.UserSteadyBytesPerSecond, burst: o.UserBurstBytes}
}

func setDefault[T comparable](value *T, d T) {
	var zero T
	if *value == zero {
		*value = d
	}
}
