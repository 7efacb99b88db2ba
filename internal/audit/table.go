package audit

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// table holds the open records of strangers, or those of users, and what it may
// cost to write them. It has no lock and no clock of its own.
type table struct {
	name              string // of its limit, in the record of what it has left out
	window, maxWindow time.Duration
	maxOpen           int
	share             Share
	node              string

	open   map[foldKey]*openRecord
	shares map[source]*rate.Limiter // of those who have used some of theirs
	swept  time.Time                // when shares were last looked through
	bytes  *rate.Limiter            // for all together
	left   openRecord               // what is told only by its number
}

func newTable(name string, budget Budget, o Options) *table {
	return &table{
		name: name, window: o.Window, maxWindow: o.MaxWindow, maxOpen: o.MaxOpen, share: o.Share, node: o.Node,
		open: map[foldKey]*openRecord{}, shares: map[source]*rate.Limiter{},
		bytes: rate.NewLimiter(rate.Limit(budget.PerSecond), budget.Burst),
	}
}

// add takes one event in. It returns when the record is due that it went into, and
// whether the event was told from others: else only its kind and number are, and
// whose it is, or nothing but the number.
func (t *table) add(now time.Time, e Event) (due time.Time, kept bool) {
	key := keyOf(e)
	if o := t.open[key]; o.isRunning() {
		o.add(e)
		return o.due, true
	}
	payer := key.payer()
	hasShare := t.hasShare(now, payer)
	if hasShare {
		if o := t.afford(now, key, recordOf(e)); o != nil {
			t.useShare(now, payer)
			o.add(e)
			return o.due, true
		}
	}
	key = key.summed()
	o := t.open[key]
	if !o.isRunning() {
		o = nil
		if !hasShare {
			o = t.afford(now, key, Record{Kind: KindOverflow, User: e.User, Address: e.Address, Reason: reasonCounted})
		}
	}
	if o == nil {
		return t.leaveOut(now, e), false
	}
	o.count(e, "")
	return o.due, false
}

// hasShare is true when the payer may have one record more. Who has used nothing of
// its share is not in the table.
func (t *table) hasShare(now time.Time, payer source) bool {
	if had := t.shares[payer]; had != nil {
		return had.TokensAt(now) >= 1
	}
	most := sharesPerRecord * t.maxOpen
	if len(t.shares) >= most && now.Sub(t.swept) >= time.Second {
		t.swept = now
		maps.DeleteFunc(t.shares, func(_ source, l *rate.Limiter) bool { return l.TokensAt(now) >= float64(l.Burst()) })
	}
	return len(t.shares) < most
}

func (t *table) useShare(now time.Time, payer source) {
	share := t.shares[payer]
	if share == nil {
		share = rate.NewLimiter(rate.Every(t.share.Every), t.share.Records)
		t.shares[payer] = share
	}
	share.AllowN(now, 1)
}

// sharesPerRecord is how many shares are remembered for each record that may be open.
const sharesPerRecord = 4

// afford is an open record for the key that is paid for, or nil.
func (t *table) afford(now time.Time, key foldKey, r Record) *openRecord {
	o := t.open[key]
	if o == nil && len(t.open) >= t.maxOpen {
		return nil
	}
	if t.bytes.TokensAt(now) < extraCost || !t.bytes.AllowN(now, t.cost(r)) {
		return nil
	}
	if o == nil {
		o = &openRecord{width: t.window, due: now.Add(t.window)}
		t.open[key] = o
	}
	return o
}

// extraCost is what a record takes in the stream beside its text: its frame in the
// file, its subject and id (filestore.go of nats-server 2.15.2), and what folding
// adds to the text.
const extraCost = 320

// cost is at least what the record will take in the stream.
func (t *table) cost(r Record) int {
	r.Node = t.node
	text, err := r.encode()
	if err != nil { // it never is
		return t.bytes.Burst()
	}
	return len(text) + extraCost
}

// leaveOut counts an event of which nothing else is told, not even whose it is.
func (t *table) leaveOut(now time.Time, e Event) (due time.Time) {
	o := &t.left
	if o.width == 0 {
		o.width, o.due = t.window, now.Add(t.window)
	}
	o.count(Event{Time: e.Time, Kind: e.Kind, Count: e.Count}, t.name)
	return o.due
}

// take adds the records that are due to list, all of them with all set; next is when
// the next one is due, or as it was.
func (t *table) take(now time.Time, all bool, list []Record, next time.Time) ([]Record, time.Time) {
	pass := func(o *openRecord) (ended bool) {
		if !all && now.Before(o.due) {
			next = earlier(next, o.due)
			return false
		}
		if !o.isRunning() {
			return true
		}
		list = append(list, o.written(now, t.maxWindow))
		next = earlier(next, o.due)
		return all
	}
	maps.DeleteFunc(t.open, func(_ foldKey, o *openRecord) bool { return pass(o) })
	if t.left.width > 0 && pass(&t.left) {
		t.left = openRecord{}
	}
	return list, next
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// byTime puts the oldest record first.
func byTime(records []Record) {
	slices.SortFunc(records, func(a, b Record) int { return a.Time.Compare(b.Time) })
}
