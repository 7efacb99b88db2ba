package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what a run has found.
type Report struct {
	Row      Row
	Rounds   int
	Duration time.Duration // of each server's turn
	Servers  []ServerReport
}

// ServerReport is what was found of one server.
type ServerReport struct {
	Name        string
	Bytes       int // that reached a socket for each delivery
	SocketBytes int // resident memory that one idle socket took
	Rounds      []Measurement
}

// Measurement is one server's turn in one round.
type Measurement struct {
	PerDelivery time.Duration // CPU time of the server's process, user and system
	P50, P99    time.Duration // from the publisher's call to the read
	P999, Max   time.Duration // likewise
	Rate        float64       // messages a second
	Others      float64       // CPU time of all else on the machine, 1 is all of the machine
	Stolen      float64       // CPU time that the host gave to others
}

// spread is the median of some figures and their range.
type spread struct{ median, least, most float64 }

func spreadOf(figures []float64) spread {
	s := slices.Sorted(slices.Values(figures))
	n := len(s)
	if n == 0 {
		return spread{}
	}
	return spread{(s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1]}
}

// figuresOf is one figure of each round.
func figuresOf[Round any](rounds []Round, of func(Round) float64) []float64 {
	out := make([]float64, len(rounds))
	for i, m := range rounds {
		out[i] = of(m)
	}
	return out
}

// Ratios are the server's CPU times over the floor's: of the medians, and the
// range over the rounds.
func (r Report) Ratios(s ServerReport) (ofMedians, least, most float64) {
	cost := func(m Measurement) float64 { return float64(m.PerDelivery) }
	floor := figuresOf(r.Servers[0].Rounds, cost)
	own := figuresOf(s.Rounds, cost)
	var pairs []float64
	for i := range own {
		pairs = append(pairs, own[i]/floor[i])
	}
	all := spreadOf(pairs)
	return spreadOf(own).median / spreadOf(floor).median, all.least, all.most
}

// Print writes the report as a table of Markdown.
func (r Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "%s (%d rounds of %v)\n\n", r.Row, r.Rounds, r.Duration)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| server\t| µs CPU per delivery\t| × floor\t| p50 ms\t| p99 ms\t| bytes\t| KiB a socket\t| msg/s\t| others\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, s := range r.Servers {
		cost := spreadOf(figuresOf(s.Rounds, func(m Measurement) float64 { return micros(m.PerDelivery) }))
		ratio, least, most := r.Ratios(s)
		p50 := spreadOf(figuresOf(s.Rounds, func(m Measurement) float64 { return micros(m.P50) / 1000 }))
		p99 := spreadOf(figuresOf(s.Rounds, func(m Measurement) float64 { return micros(m.P99) / 1000 }))
		rate := spreadOf(figuresOf(s.Rounds, func(m Measurement) float64 { return m.Rate }))
		others := spreadOf(figuresOf(s.Rounds, func(m Measurement) float64 { return 100 * (m.Others + m.Stolen) }))
		fmt.Fprintf(t, "| %s\t| %.2f (%.2f-%.2f)\t| %.2f (%.2f-%.2f)\t| %.1f\t| %.1f\t| %d\t| %d\t| %.0f\t| %.0f %%\t|\n",
			s.Name, cost.median, cost.least, cost.most, ratio, least, most, p50.median, p99.median,
			s.Bytes, s.SocketBytes>>10, rate.median, others.median)
	}
	return t.Flush()
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
