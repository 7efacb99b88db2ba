package limit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
)

// model counts again from scratch after each step, the slow and obvious way.
type model struct {
	subs    []limit.SubOp
	covered map[string][]string
}

func (m *model) pairs(more ...limit.SubOp) map[[2]string]bool {
	pairs := map[[2]string]bool{}
	for _, op := range append(slices.Clone(m.subs), more...) {
		switch op.Category {
		case "":
		case limit.Wildcard:
			for _, c := range m.covered[op.Conversation] {
				pairs[[2]string{op.Conversation, c}] = true
			}
		default:
			pairs[[2]string{op.Conversation, op.Category}] = true
		}
	}
	return pairs
}

func (m *model) remove(op limit.SubOp) bool {
	i := slices.IndexFunc(m.subs, func(s limit.SubOp) bool {
		if op.Category == "" {
			return s.Category == ""
		}
		return s.Conversation == op.Conversation && s.Category == op.Category
	})
	if i >= 0 {
		m.subs = slices.Delete(m.subs, i, i+1)
	}
	return i >= 0
}

// FuzzMeter runs a connection's life from bytes, two for each step, after two
// for the limits. It holds that the meter is right and that: never more is
// granted than the limits say; UNSUB always passes; with all subscriptions gone
// nothing is counted.
func FuzzMeter(f *testing.F) {
	f.Fuzz(func(t *testing.T, subs, cats uint8, steps []byte) {
		rules := limit.MeterRules{
			Subscriptions: limit.Rule{Value: int(subs % 9), DryRun: subs&128 != 0},
			Categories:    limit.Rule{Value: int(cats % 9), DryRun: cats&128 != 0},
		}
		meter := limit.NewMeter(rules)
		have := model{covered: map[string][]string{}}
		all := []string{"a", "b", "c", "d", "e", "f"}
		grown := false // by Resize, which grants nothing
		for len(steps) >= 2 {
			op, bits := steps[0], steps[1]
			steps = steps[2:]
			s := limit.SubOp{Conversation: string(rune('1' + bits>>3&3))}
			switch bits & 7 {
			case 6:
				s.Category, s.Covered = limit.Wildcard, all[:int(op>>2)%7]
			case 7:
				s.Conversation = ""
			default:
				s.Category = all[bits&7]
			}
			switch op & 3 {
			case 0, 1:
				fuzzSub(t, meter, &have, rules, s, &grown)
			case 2:
				have.remove(s)
				meter.Unsub(s)
			case 3:
				have.covered[s.Conversation] = all[:int(op>>2)%7]
				meter.Resize(s.Conversation, have.covered[s.Conversation])
				grown = true
			}
			u := meter.Usage(time.Time{})
			if u.Subscriptions.Used != len(have.subs) || u.Categories.Used != len(have.pairs()) {
				t.Fatalf("%+v: want %d subscriptions and %d pairs", u, len(have.subs), len(have.pairs()))
			}
			if u.Subscriptions.Exceeded() && !rules.Subscriptions.DryRun {
				t.Fatalf("more than granted: %+v", u.Subscriptions)
			}
			if u.Categories.Exceeded() && !rules.Categories.DryRun && !grown {
				t.Fatalf("more than granted: %+v", u.Categories)
			}
		}
		for len(have.subs) > 0 {
			meter.Unsub(have.subs[0])
			have.subs = have.subs[1:]
		}
		if u := meter.Usage(time.Time{}); u.Subscriptions.Used != 0 || u.Categories.Used != 0 {
			t.Fatalf("with everything gone: %+v", u)
		}
	})
}

func fuzzSub(t *testing.T, meter *limit.Meter, have *model, rules limit.MeterRules, op limit.SubOp, grown *bool) {
	tooMany := len(have.subs)+1 > rules.Subscriptions.Value
	if op.Category == limit.Wildcard && !(tooMany && !rules.Subscriptions.DryRun) {
		*grown = *grown || slices.ContainsFunc(have.subs, func(s limit.SubOp) bool {
			return s.Conversation == op.Conversation && s.Category == limit.Wildcard
		})
		have.covered[op.Conversation] = op.Covered
	}
	before, after := len(have.pairs()), len(have.pairs(op))
	tooWide := after > before && after > rules.Categories.Value
	refused := tooMany && !rules.Subscriptions.DryRun || tooWide && !rules.Categories.DryRun
	v := meter.Sub(op)
	if v.Refused() != refused {
		t.Fatalf("%+v: %+v; too many subscriptions %v, too many categories %v", op, v, tooMany, tooWide)
	}
	if v.Hit() != (tooMany || tooWide) {
		t.Fatalf("%+v: %+v is not said", op, v)
	}
	if !refused {
		have.subs = append(have.subs, op)
	}
}

// FuzzOperations holds that in no time more operations pass than the bucket
// and its refilling allow, and that RetryAfter is exact.
func FuzzOperations(f *testing.F) {
	f.Fuzz(func(t *testing.T, value uint16, steps []byte) {
		rule := limit.Rule{Value: int(value%1000) + 1}
		meter := limit.NewMeter(limit.MeterRules{Operations: rule})
		start := time.Now()
		now := start
		var passed []time.Time
		for _, s := range steps {
			now = now.Add(time.Duration(s) * time.Duration(s) * 20 * time.Microsecond)
			v := meter.Operation(now)
			if v.Refused() {
				if v.RetryAfter <= 0 || v.RetryAfter > time.Second {
					t.Fatalf("retry after %v", v.RetryAfter)
				}
				if again := meter.Operation(now.Add(v.RetryAfter - 1)); !again.Refused() {
					t.Fatalf("passes before RetryAfter is over")
				}
				now = now.Add(v.RetryAfter)
				if again := meter.Operation(now); again.Refused() {
					t.Fatalf("refused after RetryAfter: %+v", again)
				}
			}
			passed = append(passed, now)
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				most := rule.Value + int(passed[j].Sub(passed[i])*time.Duration(rule.Value)/time.Second)
				if got := j - i + 1; got > most {
					t.Fatalf("%d passed within %v, at most %d may", got, passed[j].Sub(passed[i]), most)
				}
			}
		}
	})
}
