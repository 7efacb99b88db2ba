// Command junk measures what a login with a token that nobody has signed costs the
// server, beside a valid one, and prints a table. See docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"os"

	"github.com/statuswire/statuswire/bench"
)

func main() { bench.Main("junk", run) }

func run(ctx context.Context, args []string) error {
	opts := bench.DefaultJunkOptions()
	flags := flag.NewFlagSet("junk", flag.ContinueOnError)
	flags.StringVar(&opts.Statuswire, "statuswire", "bin/statuswire", "the binary that is measured")
	flags.IntVar(&opts.Logins, "logins", opts.Logins, "of each kind, in each round")
	flags.IntVar(&opts.AtOnce, "at-once", opts.AtOnce, "logins under way at a time")
	flags.IntVar(&opts.Rounds, "rounds", opts.Rounds, "how often each kind has its turn")
	verbose := flags.Bool("v", false, "tell of each turn, and what the server logs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *verbose {
		opts.Log = os.Stderr
	}
	report, err := bench.RunJunk(ctx, opts)
	if err != nil {
		return err
	}
	return report.Print(os.Stdout)
}
