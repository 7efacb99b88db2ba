// Command siege measures what good browsers notice of a network of strangers that do
// all they can to take the server from them, and prints tables. See docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"os"

	"github.com/statuswire/statuswire/bench"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		bench.Exit("siege", bench.Serve(os.Args[2:]))
	}
	bench.Main("siege", run)
}

func run(ctx context.Context, args []string) (err error) {
	opts := bench.DefaultSiege()
	flags := flag.NewFlagSet("siege", flag.ContinueOnError)
	flags.StringVar(&opts.Statuswire, "statuswire", "bin/statuswire", "the binary that is besieged")
	flags.IntVar(&opts.Browsers, "browsers", opts.Browsers, "good browsers whose deliveries are measured")
	flags.IntVar(&opts.Rate, "rate", opts.Rate, "statuses a second, all conversations together")
	flags.IntVar(&opts.Logins, "logins", opts.Logins, "good logins a second")
	flags.IntVar(&opts.Changes, "changes", opts.Changes, "changes of access during the siege")
	flags.IntVar(&opts.Hostile.JunkTokens, "junk-tokens", opts.Hostile.JunkTokens, "logins a second with tokens that do not verify")
	flags.IntVar(&opts.Hostile.Origins, "origins", opts.Hostile.Origins, "upgrades a second of foreign pages")
	flags.IntVar(&opts.Hostile.Idle, "idle", opts.Hostile.Idle, "idle connections that are held")
	flags.IntVar(&opts.Hostile.HalfRequests, "half-requests", opts.Hostile.HalfRequests, "connections that are held with half a request")
	flags.IntVar(&opts.Hostile.Pings, "pings", opts.Hostile.Pings, "WebSocket pings a second")
	flags.IntVar(&opts.Hostile.Joiners, "joiners", opts.Hostile.Joiners, "sockets of one user that join again and again")
	flags.DurationVar(&opts.Duration, "duration", opts.Duration, "alone and besieged, each")
	flags.DurationVar(&opts.Rest, "rest", opts.Rest, "after the siege, before the memory is looked at")
	verbose := flags.Bool("v", false, "tell what is going on, and what the server logs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *verbose {
		opts.Log = os.Stderr
	}
	if opts.Self, err = os.Executable(); err != nil {
		return err
	}
	report, err := bench.RunSiege(ctx, opts)
	if err != nil {
		return err
	}
	return report.Print(os.Stdout)
}
