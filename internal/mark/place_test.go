package mark_test

import (
	"math/rand/v2"
	"testing"

	"github.com/statuswire/statuswire/internal/mark"
)

func at(p mark.Place, subject string) uint64 { return max(p.After, p.Seen[subject]) }

func TestTheLowerPlaceOfTwoEpochsIsOfNone(t *testing.T) {
	p, q := mark.Place{Epoch: "one", After: 7}, mark.Place{Epoch: "two", After: 7}
	if low := mark.Lower(p, mark.Place{Epoch: "one", After: 5}); low.Epoch != "one" || low.After != 5 {
		t.Errorf("of one epoch: %+v", low)
	}
	for _, other := range []mark.Place{q, {After: 7}} {
		if low := mark.Lower(p, other); low.Epoch == "one" || low.Epoch == "two" || low.Epoch == "" || low.After != 0 {
			t.Errorf("of %+v and %+v: %+v", p, other, low)
		}
	}
}

func TestTheLowerPlaceIsTheLowerForEachSubject(t *testing.T) {
	subjects := []string{"status.c.a", "status.c.b", "status.c.c", "status.c.d"}
	random := func() mark.Place {
		p := mark.Place{After: rand.Uint64N(10)}
		for _, subject := range subjects[:rand.IntN(4)] {
			if p.Seen == nil {
				p.Seen = map[string]uint64{}
			}
			p.Seen[subject] = rand.Uint64N(20)
		}
		return p
	}
	for range 10_000 {
		p, q := random(), random()
		low := mark.Lower(p, q)
		for _, subject := range subjects { // the last one is in no Seen
			if got, want := at(low, subject), min(at(p, subject), at(q, subject)); got != want {
				t.Fatalf("Lower(%v, %v) = %v: %s is at %d, want %d", p, q, low, subject, got, want)
			}
		}
	}
}
