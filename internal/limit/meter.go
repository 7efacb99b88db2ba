package limit

import "time"

// Wildcard is the category of a SubOp that covers a whole conversation:
// status.<c>.* or status.<c>.>.
const Wildcard = "*"

// SubOp is a SUB, or the UNSUB that ends it, as the Meter sees it.
type SubOp struct {
	// Conversation and Category are the two tokens of status.<c>.<cat>. An empty
	// Category is a subscription of another kind: an inbox, presence.
	Conversation, Category string
	// Covered are the categories that the conversation has now, with Wildcard
	// only. The Meter keeps the slice: do not change it afterwards.
	Covered []string
}

// Meter counts what one connection holds. Its memory grows with what is held
// only, so it is bounded by the limits. Not safe for concurrent use.
//
// Distinct (conversation, category) pairs are counted: the same pair through two
// subscriptions counts once, a wildcard counts all pairs that it covers, and a
// literal counts even when the conversation has no such category.
type Meter struct {
	rules MeterRules
	ops   bucket

	subs      int // subscriptions of any kind
	others    int // of them, those without a category
	held      map[pair]hold
	wildcards map[string]wildcard // by conversation
}

type pair struct{ conversation, category string }

// hold is why a pair is held: by so many literals, by a wildcard, or both.
type hold struct {
	literals int
	wildcard bool
}

// wildcard is the wildcards in one conversation and what they cover.
type wildcard struct {
	subs    int
	covered []string
}

// NewMeter returns the Meter of a connection that holds nothing.
func NewMeter(rules MeterRules) *Meter {
	return &Meter{rules: rules, held: map[pair]hold{}, wildcards: map[string]wildcard{}}
}

// SetRules has other limits hold from now on, as a new grant may say. What is
// held stays, above a lowered limit too; nothing is added until it is below.
func (m *Meter) SetRules(rules MeterRules) { m.rules = rules }

// Operation asks for one operation of any kind, whatever it does.
func (m *Meter) Operation(now time.Time) Verdict {
	return m.ops.take(Operations, now, m.rules.Operations)
}

// Sub asks for one more subscription and holds it unless the Verdict is Refused.
// Each that was not refused is ended by one Unsub with the same conversation and
// category.
func (m *Meter) Sub(op SubOp) Verdict {
	v := m.rules.Subscriptions.check(Subscriptions, m.subs, 1)
	if v.Refused() {
		return v
	}
	if op.Category == Wildcard {
		m.Resize(op.Conversation, op.Covered)
	}
	before := len(m.held)
	m.take(op)
	v = v.with(m.rules.Categories.check(Categories, before, len(m.held)-before))
	if v.Refused() {
		m.Unsub(op)
	}
	return v
}

func (m *Meter) take(op SubOp) {
	m.subs++
	switch op.Category {
	case "":
		m.others++
	case Wildcard:
		w := m.wildcards[op.Conversation]
		if w.subs == 0 {
			w.covered = op.Covered
			m.cover(op.Conversation, w.covered, true)
		}
		w.subs++
		m.wildcards[op.Conversation] = w
	default:
		p := pair{op.Conversation, op.Category}
		h := m.held[p]
		h.literals++
		m.held[p] = h
	}
}

// Unsub ends a subscription, for whatever reason it ends. It always passes; one
// that is not held changes nothing. Covered is not read.
func (m *Meter) Unsub(op SubOp) {
	switch op.Category {
	case "":
		if m.others == 0 {
			return
		}
		m.others--
	case Wildcard:
		w, ok := m.wildcards[op.Conversation]
		if !ok {
			return
		}
		if w.subs--; w.subs > 0 {
			m.wildcards[op.Conversation] = w
			break
		}
		delete(m.wildcards, op.Conversation)
		m.cover(op.Conversation, w.covered, false)
	default:
		p := pair{op.Conversation, op.Category}
		h := m.held[p]
		if h.literals == 0 {
			return
		}
		h.literals--
		m.keep(p, h)
	}
	m.subs--
}

// Resize tells the Meter that the conversation has other categories now: one was
// added or retired. A wildcard that is held goes on and counts what it covers
// from now on, so the Usage of Categories that is returned may be Exceeded; then
// nothing is added until it is below. Without a wildcard nothing changes. The
// Meter keeps the slice: do not change it afterwards.
func (m *Meter) Resize(conversation string, covered []string) Usage {
	if w, ok := m.wildcards[conversation]; ok {
		m.cover(conversation, w.covered, false)
		m.cover(conversation, covered, true)
		w.covered = covered
		m.wildcards[conversation] = w
	}
	return m.categories()
}

// cover has a wildcard hold the categories, or let go of them.
func (m *Meter) cover(conversation string, categories []string, held bool) {
	for _, c := range categories {
		p := pair{conversation, c}
		h := m.held[p]
		h.wildcard = held
		m.keep(p, h)
	}
}

func (m *Meter) keep(p pair, h hold) {
	if h == (hold{}) {
		delete(m.held, p)
		return
	}
	m.held[p] = h
}

// MeterUsage is where the limits of a connection stand.
type MeterUsage struct {
	Subscriptions, Categories, Operations Usage
}

// Usage returns where the limits stand.
func (m *Meter) Usage(now time.Time) MeterUsage {
	r := m.rules.Subscriptions
	return MeterUsage{
		Subscriptions: Usage{Name: Subscriptions, Limit: r.Value, Used: m.subs, DryRun: r.DryRun},
		Categories:    m.categories(),
		Operations:    m.ops.usage(Operations, now, m.rules.Operations),
	}
}

func (m *Meter) categories() Usage {
	r := m.rules.Categories
	return Usage{Name: Categories, Limit: r.Value, Used: len(m.held), DryRun: r.DryRun}
}
