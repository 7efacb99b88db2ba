package audit

import (
	"net/netip"
	"slices"
	"time"
)

// MaxAddresses is how many addresses of a record are told apart.
const MaxAddresses = 32

// openRecord gathers events until due. With a count of 0 it has been written, and
// stays to fold what follows.
type openRecord struct {
	record    Record
	addresses []netip.Addr // different ones; empty while there is only the record's
	width     time.Duration
	due       time.Time
}

// isRunning is true while it has events that are not written yet: one more of them
// costs nothing.
func (o *openRecord) isRunning() bool { return o != nil && o.record.Count > 0 }

func (o *openRecord) add(e Event) {
	r := &o.record
	if r.Count == 0 {
		*r = recordOf(e)
		o.addresses = o.addresses[:0]
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
	if r.Address != e.Address {
		o.addAddress(e.Address)
	}
}

// count adds an event of which only kind and number are told, and whose it is.
func (o *openRecord) count(e Event, limit string) {
	of := o.record.Of
	if of == nil {
		of = map[Kind]int{}
	}
	of[e.Kind] += e.Count
	o.add(Event{
		Time: e.Time, Kind: KindOverflow, Count: e.Count, User: e.User, Address: e.Address,
		Limit: limit, Reason: reasonCounted,
	})
	o.record.Of = of
}

const reasonCounted = "too many different events: these are only counted"

// addAddress counts an address that is not the first one.
func (o *openRecord) addAddress(address string) {
	if o.record.Addresses == MaxAddresses {
		return
	}
	a, err := netip.ParseAddr(address)
	if err != nil || slices.Contains(o.addresses, a) {
		return
	}
	o.addresses = append(o.addresses, a)
	o.record.Addresses = 1 + len(o.addresses)
}

// written makes it an empty one that waits twice as long, and returns what it held.
func (o *openRecord) written(now time.Time, maxWindow time.Duration) Record {
	r := o.record
	o.record = Record{}
	o.width = min(2*o.width, maxWindow)
	o.due = now.Add(o.width)
	return r
}
