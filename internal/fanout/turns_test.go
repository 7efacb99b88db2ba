package fanout

import (
	"slices"
	"testing"
	"time"
)

func TestTopicsHaveTheirTurnsOneAfterTheOther(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		turns int
	}{
		{30 * time.Second, 30}, {time.Hour, 30}, {time.Second, 10}, {250 * time.Millisecond, 2}, {time.Millisecond, 1},
	} {
		q := newChecks(turnsIn(c.every))
		if len(q.turns) != c.turns {
			t.Errorf("%v: %d turns", c.every, len(q.turns))
		}
		var all []*topic
		for range 1000 {
			all = append(all, &topic{})
			q.enter(all[len(all)-1])
		}
		for i := range q.turns {
			q.turnSoon(i)
			if n := len(q.due); n < 1000/c.turns || n > 1000/c.turns+1 {
				t.Errorf("%v: %d topics in turn %d", c.every, n, i)
			}
			for n := len(q.due); n > 0; {
				some := len(q.next())
				if some != min(n, askTogether) {
					t.Fatalf("%v: %d of %d are asked for together", c.every, some, n)
				}
				n -= some
			}
		}
		q.soon(all[3])
		q.soon(all[3])
		q.forget(all[4])
		q.soon(all[4])
		if due := q.due; len(due) != 1 || !slices.Equal(q.next(), all[3:4]) {
			t.Errorf("%v: due %v", c.every, q.due)
		}
		q.stop()
		if q.next() != nil {
			t.Errorf("%v: due after stop", c.every)
		}
	}
}
