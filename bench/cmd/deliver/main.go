// Command deliver measures the CPU time that one delivery costs Statuswire, beside
// the floor and beside nats-server's own WebSocket, and prints a table. See
// docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/statuswire/statuswire/bench"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		bench.Exit("deliver", bench.Serve(os.Args[2:]))
	}
	bench.Main("deliver", run)
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("deliver", flag.ContinueOnError)
	var (
		statuswire = flags.String("statuswire", "bin/statuswire", "the binary that is measured")
		before     = flags.String("before", "", "another binary, measured as well: what was before a change")
		name       = flags.String("row", "all", "the traffic: fanout, busy, subjects, or all of them")
		sockets    = flags.Int("sockets", 0, "another number of sockets than the row's")
		subjects   = flags.Int("subjects", 0, "another number of subjects than the row's")
		rate       = flags.Int("rate", 0, "another number of messages a second than the row's")
		duration   = flags.Duration("duration", 10*time.Second, "of each server's turn in a round")
		warmUp     = flags.Duration("warm-up", 3*time.Second, "of each server before the first round")
		rounds     = flags.Int("rounds", 6, "how often each server is measured")
		verbose    = flags.Bool("v", false, "tell of each round, and what the servers log")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	opts := bench.Options{Statuswire: *statuswire, Before: *before, Self: self, Duration: *duration, WarmUp: *warmUp, Rounds: *rounds, Log: io.Discard}
	if *verbose {
		opts.Log = os.Stderr
	}
	found := false
	for _, row := range bench.Rows() {
		if *name != "all" && *name != row.Name {
			continue
		}
		if found {
			fmt.Println()
		}
		found = true
		for _, change := range []struct{ from, to *int }{{sockets, &row.Sockets}, {subjects, &row.Subjects}, {rate, &row.Rate}} {
			if *change.from != 0 {
				*change.to = *change.from
			}
		}
		opts.Row = row
		report, err := bench.Run(ctx, opts)
		if err != nil {
			return fmt.Errorf("%s: %w", row.Name, err)
		}
		if err := report.Print(os.Stdout); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("there is no row %q: use fanout, busy, subjects or all", *name)
	}
	return nil
}
