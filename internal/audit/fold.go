package audit

import (
	"slices"
	"time"

	"github.com/statuswire/statuswire/status"
)

// foldKey is what makes events equal. Of a limit that was hit the reason does not
// count: it says the seconds to wait.
type foldKey struct {
	source
	conversation status.ConversationID
	subject      string
	limit        string
	reason       string
	code         int
	actor        string
	dryRun       bool
	various      bool
}

// source is whose events they are, and of which kind.
type source struct {
	kind    Kind
	user    status.UserID
	address string
}

func keyOf(e Event) foldKey {
	k := foldKey{
		source:       source{kind: e.Kind, user: e.User, address: e.Address},
		conversation: e.Conversation, subject: e.Subject, limit: e.Limit, reason: e.Reason,
		code: e.Code, actor: e.Actor, dryRun: e.DryRun,
	}
	if e.Limit != "" {
		k.reason = ""
	}
	return k
}

// fold is the table of open records. It has no lock and no clock of its own.
type fold struct {
	window, maxWindow time.Duration
	maxOpen           int // records in the table
	maxVarieties      int // records of one source, beside the one that sums up the rest

	open     map[foldKey]*openRecord
	sources  map[source]int // how many records of the source are in the table
	overflow openRecord     // what found the table full
}

// openRecord gathers events until due. With a count of 0 it has been written,
// and stays to fold what follows.
type openRecord struct {
	record Record
	width  time.Duration
	due    time.Time
}

func newFold(o Options) *fold {
	return &fold{
		window: o.Window, maxWindow: o.MaxWindow, maxOpen: o.MaxOpen, maxVarieties: o.MaxVarieties,
		open: map[foldKey]*openRecord{}, sources: map[source]int{},
	}
}

// add takes one event in. It returns when the record is due that it went into,
// and whether the event was told from others (else it went into the overflow).
func (f *fold) add(now time.Time, e Event) (due time.Time, kept bool) {
	key := keyOf(e)
	o := f.open[key]
	if o == nil && f.sources[key.source] >= f.maxVarieties {
		e = Event{Time: e.Time, Kind: e.Kind, User: e.User, Address: e.Address, Count: e.Count}
		key = keyOf(e)
		key.various = true
		o = f.open[key]
	}
	kept = true
	switch {
	case o != nil:
	case len(f.open) < f.maxOpen:
		o = &openRecord{width: f.window, due: now.Add(f.window)}
		f.open[key] = o
		f.sources[key.source]++
	default:
		kept = false
		key = foldKey{}
		e = Event{Time: e.Time, Kind: KindOverflow, Count: e.Count,
			Reason: "more different events at once than are kept: these are only counted"}
		o = &f.overflow
		if o.width == 0 {
			o.width, o.due = f.window, now.Add(f.window)
		}
	}
	o.add(e, key.various)
	return o.due, kept
}

func (o *openRecord) add(e Event, various bool) {
	r := &o.record
	if r.Count == 0 {
		*r = Record{
			Time: e.Time, Kind: e.Kind, Count: e.Count,
			User: e.User, Address: e.Address, Conversation: e.Conversation, Subject: e.Subject,
			Limit: e.Limit, Reason: e.Reason, Code: e.Code, Session: e.Session,
			Actor: e.Actor, DryRun: e.DryRun, Various: various,
		}
		if e.Count > 1 {
			r.Until = e.Time
		}
		return
	}
	r.Count += e.Count
	if r.Until.IsZero() {
		r.Until = r.Time
	}
	// Events come from many goroutines: the later one may come first.
	if e.Time.Before(r.Time) {
		r.Time = e.Time
	}
	if e.Time.After(r.Until) {
		r.Until = e.Time
	}
	if r.Session != e.Session {
		r.Session = 0
	}
}

// take removes and returns the records that are due, all of them with all set,
// the oldest first; and when the next one is due, zero for none.
func (f *fold) take(now time.Time, all bool) (records []Record, next time.Time) {
	pass := func(o *openRecord) (ended bool) {
		if !all && now.Before(o.due) {
			next = earlier(next, o.due)
			return false
		}
		if o.record.Count == 0 {
			return true
		}
		records = append(records, o.record)
		o.record.Count = 0
		o.width = min(2*o.width, f.maxWindow)
		o.due = now.Add(o.width)
		next = earlier(next, o.due)
		return all
	}
	for key, o := range f.open {
		if !pass(o) {
			continue
		}
		delete(f.open, key)
		if f.sources[key.source]--; f.sources[key.source] == 0 {
			delete(f.sources, key.source)
		}
	}
	if f.overflow.width > 0 && pass(&f.overflow) {
		f.overflow = openRecord{}
	}
	slices.SortFunc(records, func(a, b Record) int { return a.Time.Compare(b.Time) })
	return records, next
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
