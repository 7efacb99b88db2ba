package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// DefaultLatency is what docs/benchmarks.md shows of messages that nobody shares:
// each is of a subject of its own, which one socket has, and is alone on its way.
func DefaultLatency() Options {
	return Options{
		Row:      Row{Name: "latency", Sockets: 1000, Subjects: 1000, Rate: 1000},
		Servers:  []string{Centrifugo, Statuswire},
		Duration: 10 * time.Second, WarmUp: 3 * time.Second, Rounds: 5,
	}
}

// PrintLatency writes the report as a table of Markdown. The ratios are of each
// round's p99 over the first server's in the same round.
func (r Report) PrintLatency(w io.Writer) error {
	fmt.Fprintf(w, "%s (%d rounds of %v)\n\n", r.Row, r.Rounds, r.Duration)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintf(t, "| server\t| p50 ms\t| p99 ms\t| p99.9 ms\t| max ms\t| p99 × %s\t| µs CPU per message\t| msg/s\t| others\t|\n", r.Servers[0].Name)
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	p99 := func(m Measurement) float64 { return micros(m.P99) / 1000 }
	for _, s := range r.Servers {
		of := func(figure func(Measurement) float64) spread { return spreadOf(figuresOf(s.Rounds, figure)) }
		var ratios []float64
		for i, first := range figuresOf(r.Servers[0].Rounds, p99) {
			ratios = append(ratios, p99(s.Rounds[i])/first)
		}
		tail, ratio := of(p99), spreadOf(ratios)
		fmt.Fprintf(t, "| %s\t| %.2f\t| %.2f (%.2f-%.2f)\t| %.2f\t| %.1f\t| %.2f (%.2f-%.2f)\t| %.1f\t| %.0f\t| %.0f %%\t|\n", s.Name,
			of(func(m Measurement) float64 { return micros(m.P50) / 1000 }).median,
			tail.median, tail.least, tail.most,
			of(func(m Measurement) float64 { return micros(m.P999) / 1000 }).median,
			of(func(m Measurement) float64 { return micros(m.Max) / 1000 }).median,
			ratio.median, ratio.least, ratio.most,
			of(func(m Measurement) float64 { return micros(m.PerDelivery) }).median,
			of(func(m Measurement) float64 { return m.Rate }).median,
			of(func(m Measurement) float64 { return 100 * (m.Others + m.Stolen) }).median)
	}
	return t.Flush()
}
