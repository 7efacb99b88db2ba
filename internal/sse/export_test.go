package sse

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"github.com/statuswire/statuswire/internal/browser"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
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
	p.places.leave(now, openStream("", subject, after, sent...))
}

// Enter notes an open stream of a user; leave says that it has ended.
func (p EventPlaces) Enter(user status.UserID, subject string, after uint64, sent ...Sent) (leave func(now time.Time)) {
	o := openStream(user, subject, after, sent...)
	p.places.enter(o)
	return func(now time.Time) { p.places.leave(now, o) }
}

func openStream(user status.UserID, subject string, after uint64, sent ...Sent) *openEvents {
	var events sentEvents
	for _, s := range sent {
		events.see(&fanout.Message{Subject: s.Subject, Sequence: s.Sequence, Epoch: s.Epoch})
	}
	at := func() fanout.Place { return fanout.Place{Epoch: events.epoch, After: after} }
	return &openEvents{openKey{user, subject}, &events, at}
}

// From is where a user begins who has the event with the id.
func (p EventPlaces) From(user status.UserID, subject, id string) fanout.Place {
	has, _ := parseEventID(id)
	return p.places.from(openKey{user, subject}, has)
}

// Open is how many streams are open.
func (p EventPlaces) Open() (n int) {
	for _, of := range p.places.open {
		n += len(of)
	}
	return n
}

// Len is how many streams are remembered.
func (p EventPlaces) Len() int { return p.places.byAge.Len() }

// AwaitWhole waits for a history whose parts and end are there already, and returns
// what is to be written last.
func AwaitWhole() (last string, err error) {
	h := &history{begun: make(chan struct{}), ended: make(chan refusal.Closing, 1)}
	close(h.begun)
	h.ended <- refusal.CloseAnswered([]byte("the end"))
	s := &Stream{}
	s.Init(browser.NewHub(browser.Deps{}, browser.Options{}), nil, netip.AddrPort{}, nil, s)
	if err := h.await(s); err != nil {
		return "", err
	}
	return string((<-h.ended).Tail), nil
}
