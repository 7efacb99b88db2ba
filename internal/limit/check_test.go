package limit_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
)

func TestAMeterThatIsAskedHoldsNothing(t *testing.T) {
	rules := limit.MeterRules{Categories: limit.Rule{Value: 3}, Subscriptions: limit.Rule{Value: 4}, Operations: limit.Rule{Value: 10}}
	m, now := limit.NewMeter(rules), time.Now()
	literal := func(category string) limit.SubOp { return limit.SubOp{Conversation: "c1", Category: category} }
	wide := limit.SubOp{Conversation: "c2", Category: limit.Wildcard, Covered: []string{"a", "b"}}
	for _, op := range []limit.SubOp{literal("a"), literal("b"), wide, literal("c"), literal("a"), {}} {
		before := m.Usage(now)
		want := m.Check(op)
		if after := m.Usage(now); !reflect.DeepEqual(after, before) {
			t.Fatalf("%+v: asking left %+v, before it was %+v", op, after, before)
		}
		if got := m.Sub(op); got != want {
			t.Fatalf("%+v: asked, it said %+v; then %+v", op, want, got)
		}
	}
}

func TestChangesThatAreAskedCountNothing(t *testing.T) {
	c, now, rule := limit.NewChanges(), time.Now(), limit.Rule{Value: 2}
	if v, u := c.Check(now, "alice", "a", rule); v.Hit() || u.Used != 0 || u.Limit != 2 || c.Users() != 0 {
		t.Fatalf("a user whom nobody knows: %+v, %+v, %d users", v, u, c.Users())
	}
	m := c.Open(now, "alice", rule)
	for _, subject := range []string{"a", "b", "c"} {
		want := m.Check(now, subject)
		next, _ := c.Check(now, "alice", subject, rule)
		if got := m.Sub(now, subject); got != want || got != next {
			t.Fatalf("%s: asked, it said %+v and %+v; then %+v", subject, want, next, got)
		}
	}
	m.Close(now, []string{"a"})
	for range 2 {
		if v, u := c.Check(now, "alice", "a", rule); !v.Free || u.Used != 2 {
			t.Fatalf("to restore: %+v, %+v", v, u)
		}
	}
	if v, _ := c.Check(now, "alice", "b", rule); !v.Refused() || v.RetryAfterSeconds() != 60 {
		t.Fatalf("another one: %+v", v)
	}
}
