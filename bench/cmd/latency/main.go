// Command latency measures how long a status takes that is alone on its way, from the
// publisher's call to the browser's socket, beside Centrifugo, and prints a table.
// See docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"os"

	"github.com/statuswire/statuswire/bench"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		bench.Exit("latency", bench.Serve(os.Args[2:]))
	}
	bench.Main("latency", run)
}

func run(ctx context.Context, args []string) error {
	opts := bench.DefaultLatency()
	flags := flag.NewFlagSet("latency", flag.ContinueOnError)
	flags.StringVar(&opts.Statuswire, "statuswire", "bin/statuswire", "the binary that is measured")
	flags.StringVar(&opts.Centrifugo, "centrifugo", ".tools/bin/centrifugo", "the binary of Centrifugo, beside which it is measured")
	flags.StringVar(&opts.Before, "before", "", "another binary of Statuswire, measured as well: what was before a change")
	flags.IntVar(&opts.Row.Sockets, "sockets", opts.Row.Sockets, "sockets")
	flags.IntVar(&opts.Row.Subjects, "subjects", opts.Row.Subjects, "subjects, each of as many sockets as the others")
	flags.IntVar(&opts.Row.Rate, "rate", opts.Row.Rate, "messages a second, all subjects together")
	flags.DurationVar(&opts.Duration, "duration", opts.Duration, "of each server's turn in a round")
	flags.DurationVar(&opts.WarmUp, "warm-up", opts.WarmUp, "of each server before the first round")
	flags.IntVar(&opts.Rounds, "rounds", opts.Rounds, "how often each server is measured")
	only := flags.String("only", "all", "another server than both: statuswire, centrifugo, floor, nats")
	verbose := flags.Bool("v", false, "tell of each round, and what the servers log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *only != "all" {
		opts.Servers = []string{*only}
	}
	if *verbose {
		opts.Log = os.Stderr
	}
	var err error
	if opts.Self, err = os.Executable(); err != nil {
		return err
	}
	report, err := bench.Run(ctx, opts)
	if err != nil {
		return err
	}
	return report.PrintLatency(os.Stdout)
}
