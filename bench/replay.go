package bench

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// ReplayOptions are the settings of one run of Replay.
type ReplayOptions struct {
	// Statuswire is the path of the binary that is measured.
	Statuswire string
	// Stream is how many statuses the stream holds before anything is measured,
	// and Replayed how many of them, evenly among the others, are of the
	// conversation that is read.
	Stream, Replayed int
	// Readers is how many browsers read that conversation, each again and again.
	Readers int
	// Live is the traffic whose delivery is measured with the readers and without.
	Live Row
	// Duration is how long each of the two is measured in a round.
	Duration time.Duration
	// Rounds is how often.
	Rounds int
	// Log takes what is going on, and what the server says. Nil discards it.
	Log io.Writer
}

// maxReplayed is the highest limit that a request for the history may name.
const maxReplayed = 10_000

// DefaultReplayOptions are a conversation of 10,000 statuses in a stream of a
// million, beside the first of Rows.
func DefaultReplayOptions() ReplayOptions {
	return ReplayOptions{
		Stream: 1_000_000, Replayed: maxReplayed, Readers: 1,
		Live:     Rows()[0],
		Duration: 10 * time.Second, Rounds: 4,
	}
}

// Validate says what is missing or out of range.
func (o ReplayOptions) Validate() error {
	if err := o.Live.Validate(); err != nil {
		return err
	}
	switch {
	case o.Statuswire == "":
		return errors.New("no binary to measure: build it with `make build`")
	case o.Live.Subjects != 1:
		return fmt.Errorf("%d live subjects: use 1", o.Live.Subjects)
	case o.Replayed < 1 || o.Replayed > maxReplayed:
		return fmt.Errorf("%d statuses to read: use 1 to %d", o.Replayed, maxReplayed)
	case o.Stream < o.Replayed || o.Stream > 2_000_000:
		return fmt.Errorf("a stream of %d statuses: use %d to 2000000", o.Stream, o.Replayed)
	case o.Readers < 1 || o.Readers > 50:
		return fmt.Errorf("%d readers: use 1 to 50", o.Readers)
	case o.Duration < 100*time.Millisecond || o.Duration > time.Hour:
		return fmt.Errorf("a duration of %v: use 100ms to 1h", o.Duration)
	case o.Rounds < 1 || o.Rounds > 1000:
		return fmt.Errorf("%d rounds: use 1 to 1000", o.Rounds)
	}
	return nil
}

// ReplayReport is what a run of Replay has found.
type ReplayReport struct {
	Options ReplayOptions
	// Resident memory of the server in bytes: when the stream was full and nobody
	// had read, at most while somebody read, and after the last round.
	Before, Peak, After int
	Rounds              []ReplayRound
}

// ReplayRound is the delivery of the live messages without and with the readers.
type ReplayRound struct {
	Quiet, Reading Delivery
	// Replays is how many whole replays there were, each complete and in order,
	// and Took how long each was.
	Replays []time.Duration
}

// Delivery is how long live messages took, from the publisher's call to the read.
type Delivery struct {
	P50, P99, Max time.Duration
	Others        float64 // CPU time of all else on the machine, 1 is all of the machine
}

// Print writes the report as a table of Markdown.
func (r ReplayReport) Print(w io.Writer) error {
	o := r.Options
	fmt.Fprintf(w, "replay of %d statuses of one conversation out of %d, %d at a time, beside %d msg/s to %d sockets (%d rounds of %v each)\n\n",
		o.Replayed, o.Stream, o.Readers, o.Live.Rate, o.Live.Sockets, o.Rounds, o.Duration)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| delivery of the live messages\t| p50 ms\t| p99 ms\t| max ms\t| others\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|")
	for _, line := range []struct {
		name string
		of   func(ReplayRound) Delivery
	}{
		{"nobody replays", func(r ReplayRound) Delivery { return r.Quiet }},
		{"replays run", func(r ReplayRound) Delivery { return r.Reading }},
	} {
		column := func(of func(Delivery) float64) spread {
			return spreadOf(figuresOf(r.Rounds, func(round ReplayRound) float64 { return of(line.of(round)) }))
		}
		millis := func(of func(Delivery) time.Duration) string {
			s := column(func(d Delivery) float64 { return micros(of(d)) / 1000 })
			return fmt.Sprintf("%.2f (%.2f-%.2f)", s.median, s.least, s.most)
		}
		fmt.Fprintf(t, "| %s\t| %s\t| %s\t| %s\t| %.0f %%\t|\n", line.name,
			millis(func(d Delivery) time.Duration { return d.P50 }),
			millis(func(d Delivery) time.Duration { return d.P99 }),
			millis(func(d Delivery) time.Duration { return d.Max }),
			100*column(func(d Delivery) float64 { return d.Others }).median)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var ratios, took []float64
	var inOrder strings.Builder // the first round reads into memory that the server has not used before
	for _, round := range r.Rounds {
		ratio := float64(round.Reading.P99) / float64(round.Quiet.P99)
		ratios = append(ratios, ratio)
		fmt.Fprintf(&inOrder, " %.2f", ratio)
		for _, d := range round.Replays {
			took = append(took, d.Seconds())
		}
	}
	seconds := spreadOf(took)
	_, err := fmt.Fprintf(w, "\np99 with replays over p99 without, median %.2f, round by round:%s\n"+
		"%d replays, each whole and in order, %.2f s each (%.2f-%.2f), %.0f statuses a second\n"+
		"server's memory: %d MiB before, at most %d MiB while replays ran, %d MiB after\n",
		spreadOf(ratios).median, inOrder.String(),
		len(took), seconds.median, seconds.least, seconds.most, float64(o.Replayed)/seconds.median,
		r.Before>>20, r.Peak>>20, r.After>>20)
	return err
}
