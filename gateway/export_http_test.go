package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
)

// ParseEventsQuery reads the query of a request for events; after as an id of an
// event.
func ParseEventsQuery(r *http.Request) (categories []string, after string, resumed bool, err error) {
	q, err := parseEventsQuery(r)
	for _, c := range q.categories {
		categories = append(categories, string(c))
	}
	return categories, string(q.after.append(nil)), q.resumed, err
}

// HistoryQuery reads the query of a request for the history and makes what the
// edge is asked.
func HistoryQuery(r *http.Request) ([]byte, error) {
	q, err := parseHistoryQuery(r)
	if err != nil {
		return nil, err
	}
	return json.Marshal(q)
}

// EventPlaces remembers how far streams of events were.
type EventPlaces struct{ places *eventPlaces }

func NewEventPlaces() EventPlaces { return EventPlaces{newEventPlaces()} }

// Sent is one event of a stream.
type Sent struct {
	Subject  string
	Sequence uint64
	Epoch    string
}

// Leave notes a stream that had everything up to after, and then sent what it did.
func (p EventPlaces) Leave(now time.Time, subject string, after uint64, sent ...Sent) {
	var events sentEvents
	for _, s := range sent {
		events.see(&fanout.Message{Subject: s.Subject, Sequence: s.Sequence, Epoch: s.Epoch})
	}
	p.places.leave(now, subject, fanout.Place{Epoch: events.epoch, After: after}, &events)
}

// From is where somebody begins who has the event with the id.
func (p EventPlaces) From(subject, id string) fanout.Place {
	has, _ := parseEventID(id)
	return p.places.from(subject, has)
}

// Len is how many streams are remembered.
func (p EventPlaces) Len() int { return p.places.byAge.Len() }

// AwaitWhole waits for a history whose parts and end are there already, and returns
// what is to be written last.
func AwaitWhole(ctx context.Context) (last string, err error) {
	h := &history{begun: make(chan struct{}), ended: make(chan closing, 1)}
	close(h.begun)
	h.ended <- closeAnswered([]byte("the end"))
	s := &stream{socket: socket{ctx: ctx, out: &outbox{}}}
	if err := h.await(s); err != nil {
		return "", err
	}
	return string((<-h.ended).tail), nil
}
