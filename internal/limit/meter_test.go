package limit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
)

// generous are rules that nothing here comes near.
func generous() limit.MeterRules {
	r := limit.Rule{Value: 1000}
	return limit.MeterRules{Categories: r, Subscriptions: r, Operations: r}
}

func categories(value int) limit.MeterRules {
	r := generous()
	r.Categories = limit.Rule{Value: value}
	return r
}

// sub is status.<c>.<category>; "" is an inbox.
func sub(conversation, category string, covered ...string) limit.SubOp {
	return limit.SubOp{Conversation: conversation, Category: category, Covered: covered}
}

type step struct {
	do      string // "sub", "unsub" or "resize"
	op      limit.SubOp
	refused limit.Name // "" for passes
	wanted  int        // of the refusal
	used    int        // categories afterwards
}

func TestMeterCountsCategories(t *testing.T) {
	abc := []string{"a", "b", "c"}
	tests := []struct {
		name  string
		limit int
		steps []step
	}{
		{"so many literals pass and one more does not", 2, []step{
			{"sub", sub("c1", "a"), "", 0, 1},
			{"sub", sub("c1", "b"), "", 0, 2},
			{"sub", sub("c1", "c"), limit.Categories, 1, 2},
		}},
		{"the same category in two conversations counts twice", 1, []step{
			{"sub", sub("c1", "a"), "", 0, 1},
			{"sub", sub("c2", "a"), limit.Categories, 1, 1},
		}},
		{"the same pair through two subscriptions counts once, until both have ended", 1, []step{
			{"sub", sub("c1", "a"), "", 0, 1},
			{"sub", sub("c1", "a"), "", 0, 1},
			{"unsub", sub("c1", "a"), "", 0, 1},
			{"sub", sub("c1", "b"), limit.Categories, 1, 1},
			{"unsub", sub("c1", "a"), "", 0, 0},
			{"sub", sub("c1", "b"), "", 0, 1},
		}},
		{"a wildcard counts all it covers", 3, []step{
			{"sub", sub("c1", "*", abc...), "", 0, 3},
			{"sub", sub("c2", "a"), limit.Categories, 1, 3},
			{"unsub", sub("c1", "*"), "", 0, 0},
		}},
		{"a wildcard that covers too much is refused and leaves nothing", 2, []step{
			{"sub", sub("c1", "*", abc...), limit.Categories, 3, 0},
			{"sub", sub("c1", "a"), "", 0, 1},
			{"sub", sub("c1", "*", abc...), limit.Categories, 2, 1},
			{"unsub", sub("c1", "a"), "", 0, 0},
		}},
		{"a literal that a wildcard covers is free, in either order", 3, []step{
			{"sub", sub("c1", "a"), "", 0, 1},
			{"sub", sub("c1", "*", abc...), "", 0, 3},
			{"sub", sub("c1", "b"), "", 0, 3},
			{"unsub", sub("c1", "*"), "", 0, 2},
			{"unsub", sub("c1", "a"), "", 0, 1},
			{"unsub", sub("c1", "b"), "", 0, 0},
		}},
		{"a literal that the conversation does not have counts too", 4, []step{
			{"sub", sub("c1", "*", abc...), "", 0, 3},
			{"sub", sub("c1", "other"), "", 0, 4},
			{"sub", sub("c1", "another"), limit.Categories, 1, 4},
		}},
		{"a second wildcard is free, and the first may end", 3, []step{
			{"sub", sub("c1", "*", abc...), "", 0, 3},
			{"sub", sub("c1", "*", abc...), "", 0, 3},
			{"unsub", sub("c1", "*"), "", 0, 3},
			{"unsub", sub("c1", "*"), "", 0, 0},
		}},
		{"a category that is added counts, and what is held goes on", 3, []step{
			{"sub", sub("c1", "*", abc...), "", 0, 3},
			{"resize", sub("c1", "", "a", "b", "c", "d"), "", 0, 4},
			{"sub", sub("c1", "*", "a", "b", "c", "d"), "", 0, 4},
			{"sub", sub("c1", "d"), "", 0, 4},
			{"sub", sub("c2", "a"), limit.Categories, 1, 4},
			{"unsub", sub("c1", "d"), "", 0, 4},
			{"unsub", sub("c1", "*"), "", 0, 4},
			{"unsub", sub("c1", "*"), "", 0, 0},
		}},
		{"a category that is retired no longer counts, unless a literal holds it", 3, []step{
			{"sub", sub("c1", "*", abc...), "", 0, 3},
			{"sub", sub("c1", "c"), "", 0, 3},
			{"resize", sub("c1", "", "a"), "", 0, 2},
			{"unsub", sub("c1", "c"), "", 0, 1},
		}},
		{"a second wildcard brings the newest list", 3, []step{
			{"sub", sub("c1", "*", "a"), "", 0, 1},
			{"sub", sub("c1", "*", "a", "b"), "", 0, 2},
		}},
		{"a category that is added where no wildcard is changes nothing", 3, []step{
			{"sub", sub("c1", "a"), "", 0, 1},
			{"resize", sub("c1", "", "a", "b"), "", 0, 1},
			{"resize", sub("c2", "", "a", "b"), "", 0, 1},
		}},
		{"a list with doubles counts each once", 2, []step{
			{"sub", sub("c1", "*", "a", "a", "b"), "", 0, 2},
			{"unsub", sub("c1", "*"), "", 0, 0},
		}},
		{"inboxes and presence are no categories", 1, []step{
			{"sub", sub("", ""), "", 0, 0},
			{"sub", sub("c1", ""), "", 0, 0},
			{"sub", sub("c1", "a"), "", 0, 1},
		}},
		{"UNSUB of what is not held changes nothing", 1, []step{
			{"sub", sub("c1", "*", "a"), "", 0, 1},
			{"unsub", sub("c1", "a"), "", 0, 1},
			{"unsub", sub("c2", "*"), "", 0, 1},
			{"unsub", sub("", ""), "", 0, 1},
			{"unsub", sub("c1", "*"), "", 0, 0},
			{"unsub", sub("c1", "*"), "", 0, 0},
		}},
		{"a limit of 0 allows nothing but the rest", 0, []step{
			{"sub", sub("c1", "a"), limit.Categories, 1, 0},
			{"sub", sub("c1", "*"), "", 0, 0},
			{"sub", sub("", ""), "", 0, 0},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := limit.NewMeter(categories(tt.limit))
			held := 0
			for i, s := range tt.steps {
				before := m.Usage(time.Time{}).Categories.Used
				switch s.do {
				case "sub":
					v := m.Sub(s.op)
					if v.Refused() != (s.refused != "") || v.Name != s.refused {
						t.Fatalf("step %d: %+v, want refused by %q", i, v, s.refused)
					}
					if v.Refused() && (v.Limit != tt.limit || v.Used != before || v.Wanted != s.wanted) {
						t.Fatalf("step %d: %+v, want %d of %d used and %d wanted", i, v, before, tt.limit, s.wanted)
					}
					if !v.Refused() {
						held++
					}
				case "unsub":
					m.Unsub(s.op)
				case "resize":
					u := m.Resize(s.op.Conversation, s.op.Covered)
					if u.Used != s.used || u.Exceeded() != (s.used > tt.limit) {
						t.Fatalf("step %d: %+v, want %d used", i, u, s.used)
					}
				}
				if got := m.Usage(time.Time{}).Categories.Used; got != s.used {
					t.Fatalf("step %d: %d categories are used, want %d", i, got, s.used)
				}
				if got := m.Usage(time.Time{}).Subscriptions.Used; got > held {
					t.Fatalf("step %d: %d subscriptions are held, at most %d were let pass", i, got, held)
				}
			}
		})
	}
}

func TestMeterCountsSubscriptionsOfAnyKind(t *testing.T) {
	rules := generous()
	rules.Subscriptions.Value = 3
	m := limit.NewMeter(rules)
	for _, op := range []limit.SubOp{sub("", ""), sub("c1", "a"), sub("c1", "*", "a", "b")} {
		if v := m.Sub(op); v.Hit() {
			t.Fatalf("%+v: %+v", op, v)
		}
	}
	want := limit.Verdict{Name: limit.Subscriptions, Limit: 3, Used: 3, Wanted: 1}
	for _, op := range []limit.SubOp{sub("", ""), sub("c1", "a"), sub("c1", "*", "a", "b")} {
		if v := m.Sub(op); v != want {
			t.Fatalf("%+v: got %+v, want %+v", op, v, want)
		}
		m.Unsub(op)
		if v := m.Sub(op); v.Hit() {
			t.Fatalf("%+v after an UNSUB: %+v", op, v)
		}
	}
	if left := m.Usage(time.Time{}).Subscriptions.Left(); left != 0 {
		t.Fatalf("%d are left", left)
	}
}

func TestMeterIgnoresTheUnsubOfWhatIsNotHeld(t *testing.T) {
	m := limit.NewMeter(generous())
	m.Sub(sub("c1", "a"))
	for _, op := range []limit.SubOp{sub("", ""), sub("c1", "b"), sub("c1", "*")} {
		m.Unsub(op)
		if got := m.Usage(time.Time{}).Subscriptions.Used; got != 1 {
			t.Fatalf("%+v: %d subscriptions are held", op, got)
		}
	}
}

func TestMeterInDryRunCountsAndLetsPass(t *testing.T) {
	rules := limit.MeterRules{
		Categories:    limit.Rule{Value: 1, DryRun: true},
		Subscriptions: limit.Rule{Value: 2, DryRun: true},
		Operations:    limit.Rule{Value: 1, DryRun: true},
	}
	m := limit.NewMeter(rules)
	now := time.Now()
	got := []limit.Verdict{
		m.Sub(sub("c1", "a")), m.Sub(sub("c1", "b")), m.Sub(sub("c1", "b")), m.Sub(sub("c1", "c")),
		m.Operation(now), m.Operation(now),
	}
	want := []limit.Verdict{
		{},
		{Name: limit.Categories, Limit: 1, Used: 1, Wanted: 1, Dry: true},
		{Name: limit.Subscriptions, Limit: 2, Used: 2, Wanted: 1, Dry: true},
		{Name: limit.Subscriptions, Limit: 2, Used: 3, Wanted: 1, Dry: true, Also: limit.Categories},
		{},
		{Name: limit.Operations, Limit: 1, Used: 1, Wanted: 1, Dry: true, RetryAfter: time.Second},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: got %+v, want %+v", i, got[i], want[i])
		}
		if got[i].Refused() {
			t.Errorf("%d is refused", i)
		}
	}
	if u := m.Usage(now); u.Subscriptions.Used != 4 || u.Categories.Used != 3 || !u.Categories.Exceeded() {
		t.Errorf("got %+v, want all of it held", u)
	}
}

func TestMeterSaysTheRefusalFirstAndTheDryRunBesides(t *testing.T) {
	rules := categories(1)
	rules.Subscriptions = limit.Rule{Value: 1, DryRun: true}
	m := limit.NewMeter(rules)
	m.Sub(sub("c1", "a"))
	want := limit.Verdict{Name: limit.Categories, Limit: 1, Used: 1, Wanted: 1, Also: limit.Subscriptions}
	if v := m.Sub(sub("c1", "b")); v != want {
		t.Fatalf("got %+v, want %+v", v, want)
	}
	if got := m.Usage(time.Time{}).Subscriptions.Used; got != 1 {
		t.Fatalf("%d subscriptions after a refusal", got)
	}
}

func TestMeterWithAnotherGrant(t *testing.T) {
	m := limit.NewMeter(categories(3))
	for _, c := range []string{"a", "b", "c"} {
		m.Sub(sub("c1", c))
	}
	m.SetRules(categories(1))
	if v := m.Sub(sub("c1", "d")); !v.Refused() || v.Limit != 1 || v.Used != 3 {
		t.Fatalf("above the lowered limit: %+v", v)
	}
	if v := m.Sub(sub("c1", "a")); v.Hit() {
		t.Fatalf("what is held already is refused: %+v", v)
	}
	m.SetRules(categories(limit.Unlimited))
	for i := range 5000 {
		rules := generous()
		rules.Categories.Value, rules.Subscriptions.Value = limit.Unlimited, limit.Unlimited
		m.SetRules(rules)
		if v := m.Sub(sub("c1", fmt.Sprint("x", i))); v.Hit() {
			t.Fatalf("without a limit: %+v", v)
		}
	}
	if left := m.Usage(time.Time{}).Categories.Left(); left != limit.Unlimited {
		t.Fatalf("%d are left without a limit", left)
	}
}

func TestMeterTakesNoMemoryForWhatRepeats(t *testing.T) {
	m := limit.NewMeter(limit.DefaultOptions().MeterRules)
	now := time.Now()
	covered := []string{"engine", "tool", "workflow", "progress", "error", "info"}
	once := func() {
		m.Operation(now)
		for _, c := range covered {
			m.Sub(sub("c1", c))
		}
		m.Sub(limit.SubOp{Conversation: "c1", Category: "*", Covered: covered})
		m.Sub(limit.SubOp{Conversation: "c2", Category: "*", Covered: covered}) // refused
		m.Resize("c1", covered)
		for _, c := range covered {
			m.Unsub(sub("c1", c))
		}
		m.Unsub(sub("c1", "*"))
		m.Usage(now)
	}
	if n := testing.AllocsPerRun(100, once); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
