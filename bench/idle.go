package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// IdleOptions are the settings of a run that holds sockets on which nothing happens.
type IdleOptions struct {
	// Rows are the crowds that are held, each by servers that were started for it.
	Rows []IdleRow
	// Rounds is how often.
	Rounds int
	// Servers are those that hold them, in the order of the report, beside Before:
	// Centrifugo, Statuswire, or both.
	Servers []string
	// Statuswire and Centrifugo are the paths of the binaries, Before that of another
	// one of Statuswire, measured as well; "" for none.
	Statuswire, Centrifugo, Before string
	// Self is the program that becomes a crowd when it is called with the arguments
	// "serve" and "crowd", and answers them by calling Serve.
	Self string
	// Log takes what is going on, and what the servers say. Nil discards it.
	Log io.Writer
}

// IdleRow is one crowd.
type IdleRow struct {
	Name              string
	Sockets, Subjects int // each socket has one subject, and each subject as many sockets as the others
	// Hold is how long the sockets stay, and After how long after their end the memory
	// is looked at.
	Hold, After time.Duration
}

// IdleRows are the crowds that docs/benchmarks.md shows.
func IdleRows() []IdleRow {
	return []IdleRow{
		{Name: "one", Sockets: 2000, Subjects: 1, Hold: 30 * time.Second, After: 10 * time.Second},
		{Name: "each", Sockets: 2000, Subjects: 2000, Hold: 30 * time.Second, After: 10 * time.Second},
		{Name: "held", Sockets: 10_000, Subjects: 10_000, Hold: time.Minute, After: 30 * time.Second},
	}
}

// DefaultIdle is what docs/benchmarks.md shows.
func DefaultIdle() IdleOptions {
	return IdleOptions{Rows: IdleRows(), Rounds: 3, Servers: []string{Centrifugo, Statuswire}}
}

func (r IdleRow) traffic() Row {
	return Row{Name: r.Name, Sockets: r.Sockets, Subjects: r.Subjects, Rate: 1}
}

// Validate says what is missing or out of range.
func (o IdleOptions) Validate() error {
	for _, row := range o.Rows {
		if err := row.traffic().Validate(); err != nil {
			return fmt.Errorf("%s: %w", row.Name, err)
		}
		for _, d := range []time.Duration{row.Hold, row.After} {
			if d < 0 || d > time.Hour {
				return fmt.Errorf("%s: %v: use 0s to 1h", row.Name, d)
			}
		}
	}
	for _, name := range o.Servers {
		if name != Statuswire && name != Centrifugo {
			return fmt.Errorf("no server %q holds sockets: use %s or %s", name, Statuswire, Centrifugo)
		}
	}
	switch {
	case len(o.Rows) == 0:
		return errors.New("no sockets to hold")
	case len(o.Servers) == 0:
		return errors.New("nobody to measure")
	case o.Statuswire == "" && slices.Contains(o.Servers, Statuswire):
		return errors.New("no binary to measure: build it with `make build`")
	case o.Centrifugo == "" && slices.Contains(o.Servers, Centrifugo):
		return errNoCentrifugo
	case o.Self == "":
		return errors.New("no program for the sockets")
	case o.Rounds < 1 || o.Rounds > 1000:
		return fmt.Errorf("%d rounds: use 1 to 1000", o.Rounds)
	}
	return nil
}

func (o IdleOptions) servers() []string {
	if o.Before == "" {
		return o.Servers
	}
	return append(slices.Clone(o.Servers), Before)
}

// IdleReport is what a run has found.
type IdleReport struct {
	Options IdleOptions
	Crowds  []IdleCrowd
}

// IdleCrowd is what one row took of one server.
type IdleCrowd struct {
	Row    IdleRow
	Server string
	Rounds []IdleMeasurement
}

// IdleMeasurement is one round.
type IdleMeasurement struct {
	// Resident memory of the server in bytes: before the first socket came, when all
	// had been there for a while, and some time after they were gone.
	Before, Held, After int
	PerLogin            time.Duration // CPU time of the server's process for one socket that comes
	Busy                float64       // CPU time while nothing happens, 1 is a whole processor
}

// Print writes the report as a table of Markdown.
func (r IdleReport) Print(w io.Writer) error {
	fmt.Fprintf(w, "sockets on which nothing happens (%d rounds)\n\n", r.Options.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| row\t| sockets\t| subjects\t| held s\t| server\t| KiB a socket\t| MiB before\t| MiB held\t| MiB after\t| s after\t| ms CPU a login\t| CPU while held\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, c := range r.Crowds {
		of := func(figure func(IdleMeasurement) float64) spread {
			return spreadOf(figuresOf(c.Rounds, figure))
		}
		mebibytes := func(figure func(IdleMeasurement) int) float64 {
			return of(func(m IdleMeasurement) float64 { return float64(figure(m)) / (1 << 20) }).median
		}
		socket := of(func(m IdleMeasurement) float64 { return float64(m.Held-m.Before) / float64(c.Row.Sockets) / 1024 })
		fmt.Fprintf(t, "| %s\t| %d\t| %d\t| %.0f\t| %s\t| %.1f (%.1f-%.1f)\t| %.0f\t| %.0f\t| %.0f\t| %.0f\t| %.2f\t| %.1f %%\t|\n",
			c.Row.Name, c.Row.Sockets, c.Row.Subjects, c.Row.Hold.Seconds(), c.Server,
			socket.median, socket.least, socket.most,
			mebibytes(func(m IdleMeasurement) int { return m.Before }),
			mebibytes(func(m IdleMeasurement) int { return m.Held }),
			mebibytes(func(m IdleMeasurement) int { return m.After }),
			c.Row.After.Seconds(),
			of(func(m IdleMeasurement) float64 { return micros(m.PerLogin) / 1000 }).median,
			100*of(func(m IdleMeasurement) float64 { return m.Busy }).median)
	}
	return t.Flush()
}

// crowdOf is where the round of the row and the server is entered.
func (r *IdleReport) crowdOf(row IdleRow, server string) *IdleCrowd {
	i := slices.IndexFunc(r.Crowds, func(c IdleCrowd) bool { return c.Row.Name == row.Name && c.Server == server })
	if i < 0 {
		i = len(r.Crowds)
		r.Crowds = append(r.Crowds, IdleCrowd{Row: row, Server: server})
	}
	return &r.Crowds[i]
}
