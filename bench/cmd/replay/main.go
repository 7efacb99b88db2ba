// Command replay measures what reading a long history does to the server's memory
// and to the delivery of what is published meanwhile. See docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"io"
	"os"

	"github.com/statuswire/statuswire/bench"
)

func main() { bench.Main("replay", run) }

func run(ctx context.Context, args []string) error {
	opts := bench.DefaultReplayOptions()
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.StringVar(&opts.Statuswire, "statuswire", "bin/statuswire", "the binary that is measured")
	flags.IntVar(&opts.Stream, "stream", opts.Stream, "statuses in the stream")
	flags.IntVar(&opts.Replayed, "replayed", opts.Replayed, "statuses of the conversation that is read")
	flags.IntVar(&opts.Readers, "readers", opts.Readers, "browsers that read it at the same time")
	flags.IntVar(&opts.Live.Sockets, "sockets", opts.Live.Sockets, "sockets whose delivery is measured")
	flags.IntVar(&opts.Live.Rate, "rate", opts.Live.Rate, "messages a second to each of them")
	flags.DurationVar(&opts.Duration, "duration", opts.Duration, "without replays and with them, each, in a round")
	flags.IntVar(&opts.Rounds, "rounds", opts.Rounds, "how often both are measured")
	verbose := flags.Bool("v", false, "tell of each round, and what the server logs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	opts.Log = io.Discard
	if *verbose {
		opts.Log = os.Stderr
	}
	report, err := bench.Replay(ctx, opts)
	if err != nil {
		return err
	}
	return report.Print(os.Stdout)
}
