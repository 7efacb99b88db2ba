package bench

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// JunkOptions are the settings of one run of RunJunk.
type JunkOptions struct {
	// Statuswire is the path of the binary that is measured.
	Statuswire string
	// Logins is how many of each kind there are in a round, AtOnce how many of
	// them are under way at a time.
	Logins, AtOnce int
	// Rounds is how often each kind has its turn.
	Rounds int
	// Log takes what is going on, and what the server says. Nil discards it.
	Log io.Writer
}

// DefaultJunkOptions take about half a minute.
func DefaultJunkOptions() JunkOptions { return JunkOptions{Logins: 2000, AtOnce: 8, Rounds: 4} }

// Validate says what is missing or out of range.
func (o JunkOptions) Validate() error {
	switch {
	case o.Statuswire == "":
		return errors.New("no binary to measure: build it with `make build`")
	case o.Logins < 1 || o.Logins > 100_000:
		return fmt.Errorf("%d logins: use 1 to 100000", o.Logins)
	case o.AtOnce < 1 || o.AtOnce > 100:
		return fmt.Errorf("%d logins at once: use 1 to 100", o.AtOnce)
	case o.Rounds < 1 || o.Rounds > 1000:
		return fmt.Errorf("%d rounds: use 1 to 1000", o.Rounds)
	}
	return nil
}

// junkKind is a kind of login; junkKinds has those that RunJunk measures.
type junkKind struct {
	name   string
	forged bool
	// addresses is how many the logins come from.
	addresses int
	// code is the close code of the last words; 0 when it is let in.
	code uint16
}

// maxAddresses is so many that none has more than its failed logins.
const maxAddresses = 30_000

func junkKinds() []junkKind {
	return []junkKind{
		{"a valid token, its grant held", false, maxAddresses, 0},
		{"junk, told why", true, maxAddresses, 1008},
		{"junk of one address, told to wait", true, 1, 1013},
	}
}

// JunkReport is what a run of RunJunk has found.
type JunkReport struct {
	Options JunkOptions
	Kinds   []JunkRow
}

// JunkRow is what was found of one kind of login.
type JunkRow struct {
	Kind   string
	Rounds []JunkTurn
}

// JunkTurn is one kind's turn in one round.
type JunkTurn struct {
	PerLogin time.Duration // CPU time of the server's process, user and system
	Rate     float64       // logins a second
	Others   float64       // CPU time of all else on the machine, 1 is all of the machine
}

// Print writes the report as a table of Markdown.
func (r JunkReport) Print(w io.Writer) error {
	fmt.Fprintf(w, "%d logins of each kind, %d at once (%d rounds)\n\n", r.Options.Logins, r.Options.AtOnce, r.Options.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| login\t| ms CPU each\t| × valid\t| a second\t| others\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|")
	cost := func(turns []JunkTurn, i int) float64 { return micros(turns[i].PerLogin) / 1000 }
	for _, row := range r.Kinds {
		var each, ratios, rates, others []float64
		for i, turn := range row.Rounds {
			each = append(each, cost(row.Rounds, i))
			ratios = append(ratios, cost(row.Rounds, i)/cost(r.Kinds[0].Rounds, i))
			rates = append(rates, turn.Rate)
			others = append(others, 100*turn.Others)
		}
		ms, ratio := spreadOf(each), spreadOf(ratios)
		fmt.Fprintf(t, "| %s\t| %.3f (%.3f-%.3f)\t| %.2f (%.2f-%.2f)\t| %.0f\t| %.0f %%\t|\n", row.Kind,
			ms.median, ms.least, ms.most, ratio.median, ratio.least, ratio.most, spreadOf(rates).median, spreadOf(others).median)
	}
	return t.Flush()
}
