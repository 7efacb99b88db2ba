package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// StormOptions are the settings of a reconnect storm: many browsers lose their
// connection at the same moment and come back at the same moment.
type StormOptions struct {
	// Clients is the number of browsers, and Subjects that of the conversations:
	// each browser has one, of which its user is the only member.
	Clients, Subjects int
	// Missed is how many statuses each subject gets while nobody is there.
	Missed int
	// Live is how many statuses a second all subjects together get while the
	// browsers come back.
	Live int
	// Rest is how long the browsers sit still before they lose their connection.
	Rest time.Duration
	// Rounds is how often each server is put to it.
	Rounds int
	// Contenders are those that are put to it.
	Contenders []Contender
	// Statuswire and Centrifugo are the paths of the binaries.
	Statuswire, Centrifugo string
	// Log takes what is going on, and what the servers say. Nil discards it.
	Log io.Writer
}

// DefaultStorm is what docs/benchmarks.md shows.
func DefaultStorm() StormOptions {
	return StormOptions{Clients: 2000, Subjects: 1000, Missed: 10, Live: 100, Rest: 8 * time.Second, Rounds: 3, Contenders: Contenders()}
}

// maxTabs is how many clients may be one user's: the default limits let them be.
const maxTabs = 10

// Validate says what is missing or out of range.
func (o StormOptions) Validate() error {
	switch {
	case len(o.Contenders) == 0:
		return errors.New("nobody to measure")
	case o.needs(Statuswire) && o.Statuswire == "":
		return errors.New("no binary to measure: build it with `make build`")
	case o.needs(Centrifugo) && o.Centrifugo == "":
		return errNoCentrifugo
	case o.Clients < 1 || o.Clients > 10_000:
		return fmt.Errorf("%d clients: use 1 to 10000", o.Clients)
	case o.Subjects < 1 || o.Subjects > o.Clients || o.Clients > maxTabs*o.Subjects:
		return fmt.Errorf("%d subjects for %d clients: use 1 to %d clients for each", o.Subjects, o.Clients, maxTabs)
	case o.Missed < 1 || o.Missed > 1000:
		return fmt.Errorf("%d missed statuses: use 1 to 1000", o.Missed)
	case o.Live < 0 || o.Live > 10_000:
		return fmt.Errorf("%d live statuses a second: use 0 to 10000", o.Live)
	case o.Rest < 0 || o.Rest > time.Hour:
		return fmt.Errorf("a rest of %v: use 0s to 1h", o.Rest)
	case o.Rounds < 1 || o.Rounds > 1000:
		return fmt.Errorf("%d rounds: use 1 to 1000", o.Rounds)
	}
	return nil
}

func (o StormOptions) needs(server string) bool {
	return slices.ContainsFunc(o.Contenders, func(c Contender) bool { return c.Server == server })
}

// Calamity is how the browsers lose their connections.
type Calamity string

// Calamities.
const (
	Cut     Calamity = "cut"     // all are reset at once, as by a network; the server runs on
	Restart Calamity = "restart" // the server is stopped and started
)

// Contender is a server, and the way its clients go on from where they were.
type Contender struct{ Server, Recovery string }

// Contenders of a storm.
var (
	StatuswireResume   = Contender{Statuswire, "resume"}  // unmodified NATS clients, told apart by their name
	StatuswireHistory  = Contender{Statuswire, "history"} // clients that ask edge.<c>.history
	CentrifugoRecovery = Contender{Centrifugo, "recovery"}
)

// Contenders are all of them.
func Contenders() []Contender {
	return []Contender{StatuswireResume, StatuswireHistory, CentrifugoRecovery}
}

// StormReport is what the storms have shown.
type StormReport struct {
	Options StormOptions
	Rows    []StormRow
}

// StormRow is one kind of storm on one server.
type StormRow struct {
	Contender Contender
	Calamity  Calamity
	Rounds    []StormMeasurement
}

// StormMeasurement is one storm. The times of single clients count from the moment
// each one dials, All from the moment the first one does.
type StormMeasurement struct {
	CaughtUp       int // clients that were given all that they had missed
	All            time.Duration
	P50, P99       time.Duration
	Slowest        time.Duration
	CPU            time.Duration // of the server's process, from the first dial to All
	Doubles        int           // statuses that a client got once more
	Others, Stolen float64       // as in Measurement
}

// Print writes the report as a table of Markdown.
func (r StormReport) Print(w io.Writer) error {
	o := r.Options
	fmt.Fprintf(w, "%d clients on %d subjects, %d missed statuses each, %d msg/s meanwhile (%d rounds)\n\n", o.Clients, o.Subjects, o.Missed, o.Live, o.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| server\t| recovery\t| storm\t| caught up\t| all after ms\t| client p50 ms\t| p99 ms\t| slowest ms\t| server CPU ms\t| ms CPU a client\t| doubles\t| others\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, row := range r.Rows {
		of := func(figure func(StormMeasurement) float64) spread {
			return spreadOf(figuresOf(row.Rounds, figure))
		}
		ms := func(figure func(StormMeasurement) time.Duration) spread {
			return of(func(m StormMeasurement) float64 { return micros(figure(m)) / 1000 })
		}
		caught := of(func(m StormMeasurement) float64 { return float64(m.CaughtUp) })
		all := ms(func(m StormMeasurement) time.Duration { return m.All })
		cpu := ms(func(m StormMeasurement) time.Duration { return m.CPU })
		fmt.Fprintf(t, "| %s\t| %s\t| %s\t| %.0f\t| %.0f (%.0f-%.0f)\t| %.0f\t| %.0f\t| %.0f\t| %.0f (%.0f-%.0f)\t| %.2f\t| %.0f\t| %.0f %%\t|\n",
			row.Contender.Server, row.Contender.Recovery, row.Calamity, caught.least,
			all.median, all.least, all.most,
			ms(func(m StormMeasurement) time.Duration { return m.P50 }).median,
			ms(func(m StormMeasurement) time.Duration { return m.P99 }).median,
			ms(func(m StormMeasurement) time.Duration { return m.Slowest }).median,
			cpu.median, cpu.least, cpu.most, cpu.median/float64(o.Clients),
			of(func(m StormMeasurement) float64 { return float64(m.Doubles) }).median,
			of(func(m StormMeasurement) float64 { return 100 * (m.Others + m.Stolen) }).median)
	}
	return t.Flush()
}
