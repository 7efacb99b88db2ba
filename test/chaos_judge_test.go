package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// promise is what a client of the chaos test has been promised.
type promise int

const (
	atLeastOnce promise = iota // every status in order, the last ones perhaps again
	exactlyOnce                // every status once, in order
)

// arrival is one status at a client: the number that the publisher gave it, from 1
// for each subject, and the sequence that the server gave it.
type arrival struct{ n, seq uint64 }

// chaosClient is what one client was told, as it came.
type chaosClient struct {
	name     string
	kind     string
	promise  promise
	subjects []string // literal: what a wildcard covers
	got      map[string][]arrival
	// gaps holds, by subject, the highest first available sequence that was
	// reported: what is older may be missing.
	gaps  map[string]uint64
	wrong []string // what the client itself found wrong
}

// tally is the sum of what was judged.
type tally struct {
	clients  int
	statuses int // that had to come: each subject of each client
	arrivals int
	doubles  int
	missed   int // and reported
}

func (t *tally) add(u tally) {
	t.clients += u.clients
	t.statuses += u.statuses
	t.arrivals += u.arrivals
	t.doubles += u.doubles
	t.missed += u.missed
}

// maxFaults is how many faults of one client are told; one cause makes thousands.
const maxFaults = 5

// judgeChaos compares what a client got with what was acknowledged: the sequences
// of each subject, in the order of their numbers. Each fault is a sentence.
func judgeChaos(acked map[string][]uint64, c *chaosClient) (t tally, faults []string) {
	faults = slices.Clone(c.wrong)
	for subject, list := range c.got {
		if !slices.Contains(c.subjects, subject) {
			faults = append(faults, fmt.Sprintf("%d statuses of %s, which it has not subscribed to", len(list), subject))
		}
	}
	t.clients = 1
	for _, subject := range c.subjects {
		u, found := judgeSubject(acked[subject], c.got[subject], c.gaps[subject], c.promise)
		t.add(u)
		for _, text := range found {
			faults = append(faults, subject+": "+text)
		}
	}
	if more := len(faults) - maxFaults; more > 0 {
		faults = append(faults[:maxFaults], fmt.Sprintf("and %d more", more))
	}
	for i, text := range faults {
		faults[i] = c.name + ": " + text
	}
	return t, faults
}

func judgeSubject(acked []uint64, got []arrival, gap uint64, promise promise) (t tally, faults []string) {
	t = tally{statuses: len(acked), arrivals: len(got)}
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	// missed says whether first to last may be missing.
	missed := func(first, last uint64) {
		for n := first; n <= last; n++ {
			if acked[n-1] >= gap {
				wrong("%d to %d are lost", n, last)
				return
			}
			t.missed++
		}
	}
	seen := make([]bool, len(acked)+1)
	var newest uint64
	for _, a := range got {
		switch {
		case a.n == 0 || a.n > uint64(len(acked)):
			wrong("%d, of which nothing is known", a.n)
		case a.seq != acked[a.n-1]:
			wrong("%d came as sequence %d and was acknowledged as %d", a.n, a.seq, acked[a.n-1])
		case a.n > newest:
			missed(newest+1, a.n-1)
			newest, seen[a.n] = a.n, true
		case !seen[a.n]:
			wrong("%d came after %d", a.n, newest)
			seen[a.n] = true
		default:
			t.doubles++
			if promise == exactlyOnce {
				wrong("%d came twice", a.n)
			}
		}
	}
	missed(newest+1, uint64(len(acked)))
	return t, faults
}

// The judge must find what the chaos test is there to find.
func TestTheJudgeOfTheChaosTest(t *testing.T) {
	const subject, other = "status.c1.engine", "status.c1.tool"
	acked := map[string][]uint64{subject: {3, 5, 8, 9, 12}, other: {4}}
	one, two, three, four, five := arrival{1, 3}, arrival{2, 5}, arrival{3, 8}, arrival{4, 9}, arrival{5, 12}
	const strict, lax = exactlyOnce, atLeastOnce
	for _, c := range []struct {
		name    string
		got     []arrival
		gap     uint64
		strict  string // how the first fault begins; "" when all is well
		lax     string
		doubles int
		missed  int
	}{
		{name: "every status once is as promised", got: []arrival{one, two, three, four, five}},
		{name: "nothing at all is a loss", strict: "1 to 5 are lost", lax: "1 to 5 are lost"},
		{name: "one lost at the start", got: []arrival{two, three, four, five}, strict: "1 to 1 are lost", lax: "1 to 1 are lost"},
		{name: "two lost in the middle", got: []arrival{one, four, five}, strict: "2 to 3 are lost", lax: "2 to 3 are lost"},
		{name: "one lost at the end", got: []arrival{one, two, three, four}, strict: "5 to 5 are lost", lax: "5 to 5 are lost"},
		{name: "the last one twice", got: []arrival{one, two, three, four, five, five}, strict: "5 came twice", doubles: 1},
		{name: "a replay of what was known", got: []arrival{one, two, three, two, three, four, five}, strict: "2 came twice", doubles: 2},
		{name: "an old one alone, later", got: []arrival{one, two, three, four, one, five}, strict: "1 came twice", doubles: 1},
		{name: "two in the wrong order", got: []arrival{one, three, two, four, five}, strict: "2 to 2 are lost", lax: "2 to 2 are lost"},
		{name: "stored twice", got: []arrival{one, two, three, four, five, {5, 13}}, strict: "5 came as sequence 13 and was acknowledged as 12", lax: "5 came as sequence 13"},
		{name: "never published", got: []arrival{one, two, three, four, five, {6, 13}}, strict: "6, of which nothing is known", lax: "6, of which nothing is known"},
		{name: "a gap that was reported", got: []arrival{three, four, five}, gap: 8, missed: 2},
		{name: "a gap that was reported up to the end", gap: 13, missed: 5},
		{name: "a gap that is larger than reported", got: []arrival{four, five}, gap: 8, missed: 2, strict: "3 to 3 are lost", lax: "3 to 3 are lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for promise, want := range map[promise]string{strict: c.strict, lax: c.lax} {
				client := &chaosClient{name: "tab", kind: "tabs", promise: promise, subjects: []string{subject},
					got: map[string][]arrival{subject: c.got}, gaps: map[string]uint64{subject: c.gap}}
				sum, faults := judgeChaos(acked, client)
				if sum != (tally{clients: 1, statuses: 5, arrivals: len(c.got), doubles: c.doubles, missed: c.missed}) {
					t.Errorf("promise %d: %+v", promise, sum)
				}
				if (want == "") != (len(faults) == 0) || want != "" && !strings.HasPrefix(faults[0], "tab: "+subject+": "+want) {
					t.Errorf("promise %d: %q, want %q", promise, faults, want)
				}
			}
		})
	}
	t.Run("one subject of two", func(t *testing.T) {
		client := &chaosClient{name: "tab", subjects: []string{subject, other}, got: map[string][]arrival{subject: {one, two, three, four, five}}}
		if _, faults := judgeChaos(acked, client); len(faults) != 1 || faults[0] != "tab: status.c1.tool: 1 to 1 are lost" {
			t.Errorf("%q", faults)
		}
	})
	t.Run("what was not asked for", func(t *testing.T) {
		client := &chaosClient{name: "tab", subjects: []string{other}, got: map[string][]arrival{subject: {one}, other: {{1, 4}}}}
		if _, faults := judgeChaos(acked, client); len(faults) != 1 || faults[0] != "tab: 1 statuses of status.c1.engine, which it has not subscribed to" {
			t.Errorf("%q", faults)
		}
	})
	t.Run("what the client found itself, and no flood", func(t *testing.T) {
		client := &chaosClient{name: "tab", subjects: []string{subject}, got: map[string][]arrival{subject: {one, two, three, four, five}},
			wrong: []string{"1", "2", "3", "4", "5", "6", "7"}}
		if _, faults := judgeChaos(acked, client); len(faults) != maxFaults+1 || faults[maxFaults] != "tab: and 2 more" {
			t.Errorf("%q", faults)
		}
	})
}
