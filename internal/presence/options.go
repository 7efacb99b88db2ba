package presence

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options of a Tracker. Zero means the default everywhere.
type Options struct {
	// Node names this node among the others, at most 128 bytes of UTF-8 without
	// control characters. A node that keeps its name over a restart replaces its
	// old self at once. Default: the name of the NATS server that the connection
	// is with.
	Node string
	// Grace is how long a connection that left still counts, and how long the
	// members of a node that said bye do. Default 5 s.
	Grace time.Duration
	// SnapshotInterval is how often a node sends its snapshot. A node from which
	// nothing came for three and a half of them is gone. All nodes must have the
	// same. Default 5 s.
	SnapshotInterval time.Duration
	// Settle is how long a node listens after its start before it announces.
	// Default 1 s.
	Settle time.Duration
	// Spacing is the least time between two announcements of one conversation;
	// changes within it go together. Default 250 ms.
	Spacing time.Duration
	// ConfirmAfter is how long after the last change of a conversation the
	// announcer sends its whole list once more. It should be more than three and
	// a half SnapshotIntervals: then it also reaches watchers behind a failure of
	// the network that was too short to be noticed. Default 20 s.
	ConfirmAfter time.Duration
	// RepeatEvery is how often the announcer sends the list of a conversation in
	// which somebody is present, after that. Default 5 min.
	RepeatEvery time.Duration
	// MaxMembers bounds the entries (a user in a conversation) of one node. What
	// exceeds it is not shown, and counted in Stats.Overflow. Default 200,000.
	MaxMembers int
	// MaxNodes bounds the other nodes, at most 4096. Default 64.
	MaxNodes int
	// Logger takes what an operator should know. Default: discard.
	Logger *slog.Logger
}

// DefaultOptions returns the defaults that the fields name; Node depends on the
// connection.
func DefaultOptions() Options {
	return Options{
		Grace:            5 * time.Second,
		SnapshotInterval: 5 * time.Second,
		Settle:           time.Second,
		Spacing:          250 * time.Millisecond,
		ConfirmAfter:     20 * time.Second,
		RepeatEvery:      5 * time.Minute,
		MaxMembers:       200_000,
		MaxNodes:         64,
		Logger:           slog.New(slog.DiscardHandler),
	}
}

// Validate reports every value that cannot be used.
func (o Options) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"grace", o.Grace}, {"snapshot interval", o.SnapshotInterval}, {"settle", o.Settle},
		{"spacing", o.Spacing}, {"time to confirm", o.ConfirmAfter}, {"time to repeat", o.RepeatEvery},
	} {
		if d.value != 0 && d.value < time.Millisecond {
			errs = append(errs, fmt.Errorf("presence: %s is %v: it must be at least 1ms, or left out for the default", d.name, d.value))
		}
	}
	if o.MaxMembers < 0 || o.MaxNodes < 0 || o.MaxNodes > maxLost {
		errs = append(errs, fmt.Errorf("presence: at most %d members and %d nodes: neither may be negative, and %d nodes are the most", o.MaxMembers, o.MaxNodes, maxLost))
	}
	if o.Node != "" && !validNode(o.Node) {
		errs = append(errs, fmt.Errorf("presence: node %.200q: use at most %d bytes of UTF-8 without control characters", o.Node, maxNodeBytes))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	setDefault(&o.Grace, d.Grace)
	setDefault(&o.SnapshotInterval, d.SnapshotInterval)
	setDefault(&o.Settle, d.Settle)
	setDefault(&o.Spacing, d.Spacing)
	setDefault(&o.ConfirmAfter, d.ConfirmAfter)
	setDefault(&o.RepeatEvery, d.RepeatEvery)
	setDefault(&o.MaxMembers, d.MaxMembers)
	setDefault(&o.MaxNodes, d.MaxNodes)
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

// missed is the silence after which a node is gone.
func (o Options) missed() time.Duration { return 3*o.SnapshotInterval + o.SnapshotInterval/2 }
