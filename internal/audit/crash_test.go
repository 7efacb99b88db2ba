package audit_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/status"
)

// A crash takes what is not in the stream by then. At any moment of ten minutes of
// refusals that is what the one open record holds: the events of the last second at
// first, and later those of the last minute, never more. What comes once is there
// after a second.
func TestACrashLosesASecondOrAMinuteOfWhatGoesOn(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		const step = 100 * time.Millisecond
		window, longest := time.Second, time.Duration(0)
		var open []time.Time // events of alice's that a crash would lose now
		for i := range 10 * 60 * 10 {
			r.Record(refusal)
			open = append(open, time.Now())
			once := refusal
			once.User = status.UserID(fmt.Sprint("user", i))
			if i%100 == 0 {
				r.Record(once)
			}
			time.Sleep(step)
			for _, record := range s.take() {
				if record.User == refusal.User {
					open = open[record.Count:]
					window = min(2*window, time.Minute)
				} else if late := time.Since(record.Time); late > time.Second {
					t.Errorf("what came once is written after %v", late)
				}
			}
			if len(open) == 0 {
				continue
			}
			loss := time.Since(open[0])
			if longest = max(longest, loss); loss > window {
				t.Fatalf("after %v a crash loses the events of %v, not of %v", time.Duration(i)*step, loss, window)
			}
		}
		if longest < 59*time.Second {
			t.Errorf("the most that a crash loses is %v: the page says a minute", longest)
		}
	})
}

// Each start of a process has the budgets anew, and so has each server beside it.
func TestEachStartAndEachServerHasBudgetsOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		small := audit.Budget{Burst: 16 << 10, PerSecond: 1}
		start := func(node string) *audit.Recorder {
			r := audit.NewWith(s.write, audit.Options{Strangers: small, Users: small, Node: node})
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			return r
		}
		// written is how many of so many different events have a record of their own.
		written := func(r *audit.Recorder, node string) (strangers, users int) {
			t.Helper()
			for i := range 1000 {
				r.Record(audit.Event{Kind: audit.KindDenied, Address: elsewhere(i), Reason: "token expired"})
				of := refusal
				of.User = status.UserID(fmt.Sprint("user", i))
				r.Record(of)
			}
			time.Sleep(time.Minute)
			for _, record := range s.take() {
				switch {
				case record.Node != node:
					t.Errorf("a record of node %q, not %q", record.Node, node)
				case record.Kind == audit.KindDenied:
					strangers++
				case record.Kind == audit.KindRefused:
					users++
				}
			}
			return strangers, users
		}

		first, second := start("n1"), start("n2")
		strangers, users := written(first, "n1")
		if strangers < 20 || users < 20 || strangers > 100 || users > 100 {
			t.Fatalf("%d of strangers and %d of users are written out of 16 KiB each", strangers, users)
		}
		if again, ofUsers := written(first, "n1"); again > 1 || ofUsers > 1 {
			t.Errorf("with the budgets spent, %d and %d more are written", again, ofUsers)
		}
		if beside, ofUsers := written(second, "n2"); beside != strangers || ofUsers != users {
			t.Errorf("the server beside it writes %d and %d, not %d and %d", beside, ofUsers, strangers, users)
		}
		if err := first.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		s.take()
		first = start("n1")
		if anew, ofUsers := written(first, "n1"); anew != strangers || ofUsers != users {
			t.Errorf("after another start %d and %d are written, not %d and %d", anew, ofUsers, strangers, users)
		}
		for _, r := range []*audit.Recorder{first, second} {
			if err := r.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}
