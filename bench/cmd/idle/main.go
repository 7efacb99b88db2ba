// Command idle measures the memory that sockets take on which nothing happens, beside
// Centrifugo, and prints a table. See docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/statuswire/statuswire/bench"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		bench.Exit("idle", bench.Serve(os.Args[2:]))
	}
	bench.Main("idle", run)
}

func run(ctx context.Context, args []string) (err error) {
	opts := bench.DefaultIdle()
	flags := flag.NewFlagSet("idle", flag.ContinueOnError)
	flags.StringVar(&opts.Statuswire, "statuswire", "bin/statuswire", "the binary that is measured")
	flags.StringVar(&opts.Centrifugo, "centrifugo", ".tools/bin/centrifugo", "the binary of Centrifugo, beside which it is measured")
	flags.StringVar(&opts.Before, "before", "", "another binary of Statuswire, measured as well: what was before a change")
	flags.IntVar(&opts.Rounds, "rounds", opts.Rounds, "how often")
	var (
		name     = flags.String("row", "all", "the crowd: one, each, held, or all of them")
		sockets  = flags.Int("sockets", 0, "another number of sockets than the row's")
		subjects = flags.Int("subjects", 0, "another number of subjects than the row's")
		hold     = flags.Duration("hold", 0, "another time than the row's for which the sockets are held")
		after    = flags.Duration("after", 0, "another time than the row's after which the memory is looked at once more")
		only     = flags.String("only", "all", "statuswire or centrifugo, or both")
		verbose  = flags.Bool("v", false, "tell of each round, and what the servers log")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *name != "all" {
		opts.Rows = slices.DeleteFunc(opts.Rows, func(r bench.IdleRow) bool { return r.Name != *name })
	}
	if len(opts.Rows) == 0 {
		return fmt.Errorf("there is no row %q: use one, each, held or all", *name)
	}
	for i := range opts.Rows {
		row := &opts.Rows[i]
		for _, change := range []struct{ from, to *int }{{sockets, &row.Sockets}, {subjects, &row.Subjects}} {
			if *change.from != 0 {
				*change.to = *change.from
			}
		}
		for _, change := range []struct{ from, to *time.Duration }{{hold, &row.Hold}, {after, &row.After}} {
			if *change.from != 0 {
				*change.to = *change.from
			}
		}
	}
	if *only != "all" {
		opts.Servers = []string{*only}
	}
	if opts.Self, err = os.Executable(); err != nil {
		return err
	}
	if *verbose {
		opts.Log = os.Stderr
	}
	report, err := bench.RunIdle(ctx, opts)
	if err != nil {
		return err
	}
	return report.Print(os.Stdout)
}
