package sse

import (
	"container/list"
	"sync"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/status"
)

// eventPlaces knows how far streams of events are, and were when they ended.
//
// The id of an event says that everything up to it has come. That is too much while
// something was lost on its way to the gateway and is not found yet, behind a newer
// status of another category, or is found at last and still on its way: whoever
// comes back with the id would not get it. The place of the stream that sent the
// event says it of each category, and what came late is remembered. Both hold for
// whoever listened to the same subject on this node, so they are kept by that.
//
// A browser may be back before its old stream is seen to end: so the open ones of
// its user count as well.
//
// Safe for concurrent use.
type eventPlaces struct {
	mu     sync.Mutex                 // guards what follows
	places map[string][]*list.Element // by subject, the oldest first
	byAge  list.List                  // of endedEvents, the oldest first
	open   map[openKey]map[*openEvents]struct{}
}

// openKey is whose the open streams are, and of which subject.
type openKey struct {
	user    status.UserID
	subject string
}

// openEvents is a stream that has not ended.
type openEvents struct {
	key  openKey
	sent *sentEvents
	at   func() fanout.Place // everything up to it was sent
}

func (o *openEvents) ended() endedEvents {
	at := o.at() // before what is sent: so nothing is in neither
	return o.sent.ended(at)
}

// endedEvents is a stream that has ended.
type endedEvents struct {
	subject string
	place   fanout.Place
	late    []lateEvent
	last    uint64 // the highest id that was sent
	ended   time.Time
}

// lateEvent is an event that came behind others with higher ids.
type lateEvent struct {
	subject string
	seq     uint64
	behind  uint64 // the highest id before it
}

// isMissing is true for somebody whose last event has the id: it came before.
func (l lateEvent) isMissing(id uint64) bool { return l.seq <= id && id <= l.behind }

// Bounds of what is remembered.
const (
	maxEventPlaces        = 10_000
	maxEventPlacesSubject = 8
	maxLateEvents         = 64 // of one stream, the newest
	eventPlacesKept       = time.Hour
)

func newEventPlaces() *eventPlaces {
	return &eventPlaces{places: map[string][]*list.Element{}, open: map[openKey]map[*openEvents]struct{}{}}
}

// enter notes a stream that is open until leave.
func (p *eventPlaces) enter(o *openEvents) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[o.key] == nil {
		p.open[o.key] = map[*openEvents]struct{}{}
	}
	p.open[o.key][o] = struct{}{}
}

// leave notes that a stream has ended, and where, unless it has sent nothing behind
// the place up to which it had everything.
func (p *eventPlaces) leave(now time.Time, o *openEvents) {
	e := o.ended()
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.open[o.key], o); len(p.open[o.key]) == 0 {
		delete(p.open, o.key)
	}
	if e.last <= e.place.After && len(e.late) == 0 {
		return
	}
	subject := o.key.subject
	e.subject, e.ended = subject, now
	if of := p.places[subject]; len(of) == maxEventPlacesSubject {
		p.forgetLocked(of[0])
	}
	for first := p.byAge.Front(); first != nil; first = p.byAge.Front() {
		if p.byAge.Len() < maxEventPlaces && now.Sub(first.Value.(endedEvents).ended) < eventPlacesKept {
			break
		}
		p.forgetLocked(first)
	}
	p.places[subject] = append(p.places[subject], p.byAge.PushBack(e))
}

// forgetLocked forgets the oldest one of its subject; mu is held.
func (p *eventPlaces) forgetLocked(e *list.Element) {
	subject := p.byAge.Remove(e).(endedEvents).subject
	if p.places[subject] = p.places[subject][1:]; len(p.places[subject]) == 0 {
		delete(p.places, subject)
	}
}

// from is the place of somebody who has the event with the id, as far as is known.
// Which of the streams has sent the event nobody knows: so the lowest place counts.
func (p *eventPlaces) from(key openKey, has eventID) fanout.Place {
	from := mark.Place{Epoch: has.epoch, After: has.seq}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, element := range p.places[key.subject] {
		from = element.Value.(endedEvents).lower(from, has)
	}
	for o := range p.open[key] {
		from = o.ended().lower(from, has)
	}
	return fanout.Place(from)
}

// lower is the lower one of from and the place of somebody who has the event with the
// id, if the stream may have sent that.
func (e endedEvents) lower(from mark.Place, has eventID) mark.Place {
	if has.epoch != "" && has.epoch != e.place.Epoch || e.last < has.seq {
		return from
	}
	id := has.seq
	place := mark.Place{Epoch: has.epoch, After: min(id, e.place.After), Seen: make(map[string]uint64, len(e.place.Seen))}
	for literal, seq := range e.place.Seen {
		place.Seen[literal] = min(id, seq)
	}
	for _, l := range e.late {
		if l.isMissing(id) {
			place.After = min(place.After, l.seq-1)
			place.Seen[l.subject] = min(place.Seen[l.subject], l.seq-1)
		}
	}
	return mark.Lower(from, place)
}

// sentEvents notes how far a stream is and the order of its events. Safe for
// concurrent use.
type sentEvents struct {
	mu    sync.Mutex // guards what follows
	epoch string     // of all of it
	began uint64     // everything up to it was there before, or not wanted
	seen  map[string]uint64
	last  uint64 // the highest id
	late  []lateEvent
}

// begin takes the place behind which the stream begins.
func (l *sentEvents) begin(place fanout.Place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch != "" && l.epoch != place.Epoch {
		return // the place was of other data, and what was sent already is not
	}
	l.epoch, l.began = place.Epoch, place.After
	for subject, seq := range place.Seen {
		l.sawLocked(subject, seq)
	}
}

func (l *sentEvents) sawLocked(subject string, seq uint64) {
	if l.seen == nil {
		l.seen = map[string]uint64{}
	}
	l.seen[subject] = max(l.seen[subject], seq)
}

// see takes what is handed over, in its order.
func (l *sentEvents) see(ms ...*fanout.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range ms {
		if m.Epoch != l.epoch {
			// What was before says nothing of this. A place without an epoch was of other
			// data if something comes that it has.
			if l.epoch != "" || m.Sequence <= l.began {
				l.began, l.seen, l.last, l.late = 0, nil, 0, nil
			}
			l.epoch = m.Epoch
		}
		l.sawLocked(m.Subject, m.Sequence)
		if m.Sequence >= l.last {
			l.last = m.Sequence
			continue
		}
		if len(l.late) == maxLateEvents {
			l.late = l.late[1:]
		}
		l.late = append(l.late, lateEvent{m.Subject, m.Sequence, l.last})
	}
}

// ended is what the stream has sent of each subject, and of all up to at.
func (l *sentEvents) ended(at fanout.Place) endedEvents {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := fanout.Place{Epoch: l.epoch, After: l.began, Seen: map[string]uint64{}}
	if at.Epoch == l.epoch {
		place.After = max(at.After, l.began)
	}
	for subject, seq := range l.seen {
		if seq > place.After {
			place.Seen[subject] = seq
		}
	}
	return endedEvents{place: place, late: l.late, last: l.last}
}
