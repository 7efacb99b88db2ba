package bench

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// SiegeOptions are the settings of a siege: good browsers, first alone and then
// beside a network that does all it can to take the server from them.
type SiegeOptions struct {
	// Statuswire is the path of the binary that is put to it.
	Statuswire string
	// Browsers are the good ones. Ten share a conversation, and Rate is how many
	// statuses a second all conversations get together.
	Browsers, Rate int
	// Logins is how many good browsers a second come besides, log in, subscribe, and go.
	Logins int
	// Changes is how many changes of access an administrator makes meanwhile.
	Changes int
	// Hostile is what the network does.
	Hostile Hostile
	// Self is the program that becomes the strangers when it is called with the arguments
	// "serve" and "strangers", and answers them by calling Serve. Without one they share
	// the process with the good browsers.
	Self string
	// Duration is of the time without it and of the time with it.
	Duration time.Duration
	// Rest is how long after its end the memory is looked at.
	Rest time.Duration
	// Log takes what is going on, and what the server says. Nil discards it.
	Log io.Writer
}

// Hostile is what one network of strangers, one IPv6 /64, and one user among the
// members do to the server. 0 leaves a line out.
type Hostile struct {
	JunkTokens   int // logins a second with tokens that do not verify
	Origins      int // upgrades a second of a foreign page
	Idle         int // connections that are held and say nothing, or nothing more
	HalfRequests int // connections that are held with half a request
	Pings        int // WebSocket pings a second, of a member's sockets
	Joiners      int // sockets of a member that join again and again, each answer some hundred KiB
}

// DefaultSiege is what docs/benchmarks.md shows.
func DefaultSiege() SiegeOptions {
	return SiegeOptions{
		Browsers: 100, Rate: 50, Logins: 2, Changes: 20,
		Hostile:  Hostile{JunkTokens: 300, Origins: 500, Idle: 1000, HalfRequests: 200, Pings: 5000, Joiners: 20},
		Duration: time.Minute, Rest: 30 * time.Second,
	}
}

// Validate says what is missing or out of range.
func (o SiegeOptions) Validate() error {
	if o.Statuswire == "" {
		return errors.New("no binary to measure: build it with `make build`")
	}
	for _, n := range []struct {
		name               string
		value, least, most int
	}{
		{"browsers", o.Browsers, 1, 1000},
		{"statuses a second", o.Rate, 1, 10_000},
		{"logins a second", o.Logins, 0, 100},
		{"changes of access", o.Changes, 0, 1000},
		{"junk tokens a second", o.Hostile.JunkTokens, 0, 10_000},
		{"foreign origins a second", o.Hostile.Origins, 0, 10_000},
		{"idle connections", o.Hostile.Idle, 0, 10_000},
		{"half requests", o.Hostile.HalfRequests, 0, 10_000},
		{"pings a second", o.Hostile.Pings, 0, 100_000},
		{"joiners", o.Hostile.Joiners, 0, 20},
	} {
		if n.value < n.least || n.value > n.most {
			return fmt.Errorf("%d %s: use %d to %d", n.value, n.name, n.least, n.most)
		}
	}
	if o.Duration < time.Second || o.Duration > time.Hour {
		return fmt.Errorf("a duration of %v: use 1s to 1h", o.Duration)
	}
	if o.Rest < 0 || o.Rest > time.Hour {
		return fmt.Errorf("a rest of %v: use 0s to 1h", o.Rest)
	}
	return nil
}

// SiegeReport is what a siege has shown.
type SiegeReport struct {
	Options     SiegeOptions
	Calm, Siege SiegePhase
	// Recorded is how many of the changes of access have a record of their own.
	Recorded int
	// LogBytes is what the server logged while it was besieged.
	LogBytes int
	// Resident memory of the server in bytes: before, at most, and after the rest.
	Before, Peak, After int
	// Attempts is what the strangers tried, by what it was and how it ended.
	Attempts map[string]int
}

// SiegePhase is the time without or with the strangers.
type SiegePhase struct {
	Delivery    Delivery      // to the good browsers
	Deliveries  int           // each of them is looked at
	Missing     int           // statuses that a good browser should have had
	Disconnects int           // of good browsers
	Logins      int           // good ones that came through
	Refused     []string      // why others did not
	LoginP50    time.Duration // from dialling to the subscription
	LoginMax    time.Duration
	CPU         time.Duration // of the server's process
}

// Print writes the report as tables of Markdown.
func (r SiegeReport) Print(w io.Writer) error {
	o := r.Options
	fmt.Fprintf(w, "%d good browsers, %d msg/s, %d logins a second, %d changes of access; %v alone and %v besieged\n\n",
		o.Browsers, o.Rate, o.Logins, o.Changes, o.Duration, o.Duration)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| the good browsers\t| deliveries\t| missing\t| p50 ms\t| p99 ms\t| max ms\t| logins\t| refused\t| login p50 ms\t| login max ms\t| server CPU\t| others\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, line := range []struct {
		name string
		of   SiegePhase
	}{{"alone", r.Calm}, {"besieged", r.Siege}} {
		p := line.of
		ms := func(d time.Duration) float64 { return micros(d) / 1000 }
		fmt.Fprintf(t, "| %s\t| %d\t| %d\t| %.2f\t| %.2f\t| %.2f\t| %d\t| %d\t| %.1f\t| %.1f\t| %.0f %%\t| %.0f %%\t|\n",
			line.name, p.Deliveries, p.Missing, ms(p.Delivery.P50), ms(p.Delivery.P99), ms(p.Delivery.Max),
			p.Logins, len(p.Refused), ms(p.LoginP50), ms(p.LoginMax),
			100*p.CPU.Seconds()/o.Duration.Seconds(), 100*p.Delivery.Others)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var tried strings.Builder
	for _, what := range slices.Sorted(maps.Keys(r.Attempts)) {
		fmt.Fprintf(&tried, "  %7d %s\n", r.Attempts[what], what)
	}
	_, err := fmt.Fprintf(w, "\np99 besieged over p99 alone: %.2f\n"+
		"changes of access with a record of their own: %d of %d\n"+
		"log: %d KiB\n"+
		"server's memory: %d MiB before, at most %d MiB, %d MiB %v after the end (%.2f of before)\n"+
		"what the strangers tried:\n%s",
		float64(r.Siege.Delivery.P99)/float64(r.Calm.Delivery.P99),
		r.Recorded, o.Changes, r.LogBytes>>10,
		r.Before>>20, r.Peak>>20, r.After>>20, o.Rest, float64(r.After)/float64(r.Before), tried.String())
	return err
}
