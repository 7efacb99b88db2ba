package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Names of the servers, in the order of the report.
const (
	Floor      = "floor"
	RawNATS    = "nats"
	Statuswire = "statuswire"
	Before     = "before" // another binary of Statuswire
	Centrifugo = "centrifugo"
)

// Row is one kind of traffic.
type Row struct {
	Name     string
	Sockets  int
	Subjects int // a message goes to one of them in turn; each socket has one
	Rate     int // messages a second, all subjects together
}

// Rows are the kinds of traffic that docs/benchmarks.md shows.
func Rows() []Row {
	return []Row{
		{Name: "fanout", Sockets: 1000, Subjects: 1, Rate: 50},
		{Name: "busy", Sockets: 500, Subjects: 1, Rate: 300},
		{Name: "subjects", Sockets: 1000, Subjects: 1000, Rate: 5000},
	}
}

// deliveries is how many sockets get one message. Validate keeps it whole.
func (r Row) deliveries() int { return r.Sockets / r.Subjects }

func (r Row) String() string {
	if r.Subjects == 1 {
		return fmt.Sprintf("%s: %d msg/s to %d sockets", r.Name, r.Rate, r.Sockets)
	}
	return fmt.Sprintf("%s: %d msg/s on %d subjects, %d sockets", r.Name, r.Rate, r.Subjects, r.Sockets)
}

// Validate says what is out of range.
func (r Row) Validate() error {
	switch {
	case r.Sockets < 1 || r.Sockets > 10_000:
		return fmt.Errorf("%d sockets: use 1 to 10000", r.Sockets)
	case r.Subjects < 1 || r.Sockets%r.Subjects != 0:
		return fmt.Errorf("%d subjects for %d sockets: each subject needs as many sockets as the others", r.Subjects, r.Sockets)
	case r.Rate < 1 || r.Rate > 100_000:
		return fmt.Errorf("%d messages a second: use 1 to 100000", r.Rate)
	}
	return nil
}

// Options are the settings of one run.
type Options struct {
	// Row is the traffic.
	Row Row
	// Servers are those that are measured, in the order of the report, beside Before.
	// None: Floor, RawNATS and Statuswire.
	Servers []string
	// Statuswire is the path of the binary that is measured.
	Statuswire string
	// Before is the path of another binary of Statuswire, measured as well; "" for
	// none.
	Before string
	// Centrifugo is the path of its binary.
	Centrifugo string
	// Self is the program that becomes a floor or a nats-server when it is called
	// with the arguments "serve" and a name, and answers them by calling Serve. Only
	// these two need it.
	Self string
	// Duration is how long each server is measured in each round.
	Duration time.Duration
	// WarmUp is how long each server gets the same traffic before the first round.
	WarmUp time.Duration
	// Rounds is how often each server is measured.
	Rounds int
	// Log takes what is going on, and what the servers say. Nil discards it.
	Log io.Writer
}

// errNoCentrifugo is for a run that measures it.
var errNoCentrifugo = errors.New("no Centrifugo: get it with `make .tools/bin/centrifugo`")

// servers are all that are measured.
func (o Options) servers() []string {
	names := o.Servers
	if len(names) == 0 {
		names = []string{Floor, RawNATS, Statuswire}
	}
	if o.Before != "" {
		names = append(slices.Clone(names), Before)
	}
	return names
}

// Validate says what is missing or out of range.
func (o Options) Validate() error {
	if err := o.Row.Validate(); err != nil {
		return err
	}
	servers := o.servers()
	for _, name := range servers {
		if !slices.Contains([]string{Floor, RawNATS, Statuswire, Before, Centrifugo}, name) {
			return fmt.Errorf("there is no server %q", name)
		}
	}
	switch {
	case o.Statuswire == "":
		return errors.New("no binary to measure: build it with `make build`")
	case o.Centrifugo == "" && slices.Contains(servers, Centrifugo):
		return errNoCentrifugo
	case o.Self == "" && (slices.Contains(servers, Floor) || slices.Contains(servers, RawNATS)):
		return errors.New("no program for the other servers")
	case o.Duration < 100*time.Millisecond || o.Duration > time.Hour:
		return fmt.Errorf("a duration of %v: use 100ms to 1h", o.Duration)
	case o.WarmUp < 0 || o.WarmUp > time.Hour:
		return fmt.Errorf("a warm-up of %v: use 0s to 1h", o.WarmUp)
	case o.Rounds < 1 || o.Rounds > 1000:
		return fmt.Errorf("%d rounds: use 1 to 1000", o.Rounds)
	}
	return nil
}
