// Command reconnect measures how long it takes until many browsers that came back at
// once have all that they had missed, beside Centrifugo, and prints a table. See
// docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"os"
	"slices"

	"github.com/statuswire/statuswire/bench"
)

func main() { bench.Main("reconnect", run) }

func run(ctx context.Context, args []string) error {
	opts := bench.DefaultStorm()
	flags := flag.NewFlagSet("reconnect", flag.ContinueOnError)
	flags.StringVar(&opts.Statuswire, "statuswire", "bin/statuswire", "the binary that is measured")
	flags.StringVar(&opts.Centrifugo, "centrifugo", ".tools/bin/centrifugo", "the binary of Centrifugo, beside which it is measured")
	flags.IntVar(&opts.Clients, "clients", opts.Clients, "browsers")
	flags.IntVar(&opts.Subjects, "subjects", opts.Subjects, "conversations, each of one user")
	flags.IntVar(&opts.Missed, "missed", opts.Missed, "statuses that each conversation gets while nobody is there")
	flags.IntVar(&opts.Live, "live", opts.Live, "statuses a second, all together, while the browsers come back")
	flags.DurationVar(&opts.Rest, "rest", opts.Rest, "before each storm")
	flags.IntVar(&opts.Rounds, "rounds", opts.Rounds, "how often each server is put to it")
	only := flags.String("only", "all", "resume, history or recovery (Centrifugo's), or all of them")
	verbose := flags.Bool("v", false, "tell of each storm, and what the servers log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *only != "all" {
		opts.Contenders = slices.DeleteFunc(opts.Contenders, func(c bench.Contender) bool { return c.Recovery != *only })
	}
	if *verbose {
		opts.Log = os.Stderr
	}
	report, err := bench.RunStorm(ctx, opts)
	if err != nil {
		return err
	}
	return report.Print(os.Stdout)
}
