package gateway

import (
	"container/list"
	"sync"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
)

// eventPlaces remembers how far streams of events were when they ended.
//
// The id of an event says that everything up to it has come. That is too much while
// something was lost on its way to the gateway and is not found yet, behind a newer
// status of another category, or is found at last and still on its way: whoever
// comes back with the id would not get it. The place of the stream that sent the
// event says it of each category, and what came late is remembered. Both hold for
// whoever listened to the same subject on this node, so they are kept by that.
//
// Safe for concurrent use.
type eventPlaces struct {
	mu     sync.Mutex                 // guards what follows
	places map[string][]*list.Element // by subject, the oldest first
	byAge  list.List                  // of endedEvents, the oldest first
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

func newEventPlaces() *eventPlaces { return &eventPlaces{places: map[string][]*list.Element{}} }

// leave notes that a stream of the subject has ended that had everything up to
// at, unless it has sent nothing behind that.
func (p *eventPlaces) leave(now time.Time, subject string, at fanout.Place, sent *sentEvents) {
	e := sent.ended(at)
	if e.last <= e.place.After && len(e.late) == 0 {
		return
	}
	e.subject, e.ended = subject, now
	p.mu.Lock()
	defer p.mu.Unlock()
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

// from is the place of somebody who has the event with the id, as far as is known:
// by the stream that ended closest behind it.
func (p *eventPlaces) from(subject string, has eventID) fanout.Place {
	id := has.seq
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *endedEvents
	for _, element := range p.places[subject] {
		if e := element.Value.(endedEvents); (has.epoch == "" || has.epoch == e.place.Epoch) && e.last >= id && (best == nil || e.last <= best.last) {
			best = &e
		}
	}
	if best == nil {
		return fanout.Place{Epoch: has.epoch, After: id}
	}
	from := fanout.Place{Epoch: has.epoch, After: min(id, best.place.After), Seen: make(map[string]uint64, len(best.place.Seen))}
	for literal, seq := range best.place.Seen {
		from.Seen[literal] = min(id, seq)
	}
	for _, l := range best.late {
		if l.isMissing(id) {
			from.After = min(from.After, l.seq-1)
			from.Seen[l.subject] = min(from.Seen[l.subject], l.seq-1)
		}
	}
	return from
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
			if l.epoch != "" { // what was before says nothing of this
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
