package sse

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/statuswire/statuswire/internal/browser"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// events answers a request with the statuses of a conversation as server-sent
// events (WHATWG HTML, section 9.2). Of several categories there is one
// subscription upstream all the same, to the whole conversation, so that the ids
// of the events are in the order of the stream and the last one says how far the
// browser has everything; categories are filtered here. Each counts as a
// subscription of its own.
type events struct {
	stream *Stream
	query  eventsQuery
	subs   []*browser.Subscription // set by open, before anything is delivered
	all    *browser.Subscription   // the one for all categories, or nil
	up     *fanout.Subscription

	sent   sentEvents
	opened *openEvents // set by open, when there is one
}

// Events reads what a request for events asks for, or says what is wrong with it.
func Events(r *http.Request) (Body, error) {
	q, err := parseEventsQuery(r)
	if err != nil {
		return nil, err
	}
	return &events{query: q}, nil
}

func (*events) name() string        { return "sse" }
func (*events) contentType() string { return "text/event-stream" }

// open implements Body: it returns when everything new arrives.
func (e *events) open(s *Stream) error {
	e.stream = s
	if r := e.admit(); r.Is() {
		s.Note(e.wanted(), r)
		return refusal.End(refusal.CloseRefused(r))
	}
	first, place, err := e.begin()
	if err != nil {
		return err
	}
	if err := e.subscribe(place); err != nil {
		return refusal.End(refusal.ClosePassing(s.UpstreamFailed(e.subject(), err).Reason))
	}
	for _, sub := range e.subs {
		sub.ListenBy(e.up) // when one ends, all do
		if !s.Keep(sub) {
			r := refusal.LostAccess(s.conversation)
			s.Note(sub.Subject(), r)
			return refusal.End(refusal.CloseRefused(r))
		}
	}
	if !s.answer(first) {
		return refusal.End(refusal.CloseDone())
	}
	return nil
}

// subject is what is subscribed to upstream.
func (e *events) subject() string {
	if len(e.subs) == 1 {
		return e.subs[0].Subject() // in the order of the stream all the same
	}
	return status.ConversationSubjects(e.stream.conversation)
}

// placeKey is by which its places are kept.
func (e *events) placeKey() openKey {
	g := e.stream.Grant()
	return openKey{g.User, e.subject()}
}

// begin is how the stream begins: with what, and behind which place, nil for now.
// The error is made by refusal.End.
func (e *events) begin() (first []byte, place *fanout.Place, err error) {
	first = append(appendRetry(nil, reconnectAfter()), '\n')
	switch {
	case e.query.resumed:
		from := e.stream.endpoint.places.from(e.placeKey(), e.query.after)
		return first, &from, nil
	case e.query.snapshot:
		shot, err := e.stream.snapshot()
		if len(shot.LeftOut) > 0 {
			from := shot.before(e.stream.conversation)
			return first, &from, err
		}
		return e.appendSnapshot(first, shot), &fanout.Place{Epoch: shot.Epoch, After: shot.UpTo}, err
	}
	return first, nil, nil
}

// subscribe subscribes upstream, and returns when the server has the interest.
func (e *events) subscribe(place *fanout.Place) (err error) {
	s, f := e.stream, e.stream.endpoint.fanout
	if place != nil {
		e.up, err = f.SubscribeAfter(s.Context(), e.subject(), "", e, *place)
	} else {
		e.up, err = f.Subscribe(s.Context(), e.subject(), "", "", e)
	}
	if err != nil {
		return err
	}
	if began, ok := f.Place(e.up); ok {
		e.sent.begin(began)
		e.opened = &openEvents{e.placeKey(), &e.sent, func() fanout.Place { at, _ := f.Place(e.up); return at }}
		s.endpoint.places.enter(e.opened)
	}
	return s.Flush()
}

// shut implements Body.
func (e *events) shut(s *Stream) {
	if e.up == nil {
		return
	}
	if e.opened != nil {
		s.endpoint.places.leave(time.Now(), e.opened)
	}
	s.endpoint.fanout.Unsubscribe(e.up)
}

// wanted is the subject that stands for all that is asked for, in the audit.
func (e *events) wanted() string {
	if len(e.query.categories) == 1 {
		return status.Subject(e.stream.conversation, e.query.categories[0])
	}
	return status.ConversationSubjects(e.stream.conversation)
}

// admit decides which subscriptions the stream has, and counts them.
func (e *events) admit() refusal.Refusal {
	s := e.stream
	if len(e.query.categories) > 0 {
		return e.take(e.query.categories)
	}
	e.all = s.subscription(status.ConversationSubjects(s.conversation), "")
	e.subs = []*browser.Subscription{e.all}
	r := s.Admit(e.subs...)
	if r != (refusal.Refusal{Why: metrics.RefusalPermission}) {
		return e.inWords(r)
	}
	// A login decision of somebody's own may grant single categories.
	if granted := s.granted(); len(granted) > 0 {
		e.all = nil
		return e.take(granted)
	}
	return e.inWords(r)
}

// take has a subscription for each category.
func (e *events) take(categories []status.Category) refusal.Refusal {
	s := e.stream
	e.subs = make([]*browser.Subscription, len(categories))
	for i, c := range categories {
		subject := status.Subject(s.conversation, c)
		e.subs[i] = s.subscription(subject, string(c))
	}
	return e.inWords(s.Admit(e.subs...))
}

// inWords is the refusal in words that make sense here.
func (e *events) inWords(r refusal.Refusal) refusal.Refusal {
	switch {
	case r.Limit == limit.Categories:
		r.Reason = refusal.ReasonTooManyInStream(e.stream.MeterUsage(time.Now()).Categories.Limit)
	case r.Limit == limit.Subscriptions:
		r.Reason = refusal.ReasonTooManyInStream(e.stream.MeterUsage(time.Now()).Subscriptions.Limit)
	}
	return r.InWords()
}

// serve implements Body.
func (e *events) serve(s *Stream) refusal.Closing {
	for {
		// Comments show a proxy that the stream lives, and the kernel, by what is not
		// acknowledged, that the browser does not: see giveUpAfter.
		beat := s.endpoint.opts.PingInterval
		beat -= rand.N(beat * 2 / 5)
		if err := s.Conn().SetReadDeadline(time.Now().Add(beat)); err != nil {
			return refusal.CloseDone()
		}
		if s.IsClosing() {
			return refusal.CloseDone() // the deadline just set would have undone close's
		}
		if why, over := s.listen(); over {
			return why
		}
		s.Outbox().Put(heartbeat)
	}
}

// farewell implements Body: why, and when to come back, which EventSource does by
// itself. It then hears what is final as an HTTP status.
func (*events) farewell(why refusal.Closing) []byte {
	if why.Wire == nil {
		return nil
	}
	wait := reconnectAfter() + time.Duration(why.RetryAfter)*time.Second
	return appendEvent(appendRetry(nil, wait), "error", why.Wire.Response())
}

// reconnectAfter is how long a browser is to wait before it comes back: not all
// the same, or all would be back in the same moment.
func reconnectAfter() time.Duration { return time.Second + rand.N(2*time.Second) }

// sub is the subscription that a status belongs to, nil for none.
func (e *events) sub(subject string) *browser.Subscription {
	if e.all != nil {
		return e.all
	}
	for _, sub := range e.subs {
		if sub.Subject() == subject {
			return sub
		}
	}
	return nil
}

// Deliver implements fanout.Receiver.
func (e *events) Deliver(m *fanout.Message, _ *fanout.Subscription) {
	e.sent.see(m)
	e.deliver(m)
}

func (e *events) deliver(m *fanout.Message) {
	out := e.stream.Outbox()
	sub := e.sub(m.Subject)
	if sub == nil || !sub.MayReceive(m.Subject) {
		m.Decline()
		if gap := m.Encoded("", variantTruncated, encodeTruncated); len(gap) > 0 {
			out.Put(gap)
		}
		return
	}
	// What tells of a gap is not left out for a slow browser.
	low := m.Low && len(browser.GapBefore(m)) == 0
	out.Deliver(sub.Tally(), m.Encoded("", variantEvent, encodeEvent), low)
}

// DeliverRun implements fanout.RunReceiver.
func (e *events) DeliverRun(r *fanout.Run, _ *fanout.Subscription) {
	e.sent.see(r.Messages...)
	out := e.stream.Outbox()
	if e.all != nil && !e.all.Filtered() && out.DeliverRun(e.all.Tally(), len(r.Messages), r.Encoded("", variantEvent, encodeEvent)) {
		return
	}
	for _, m := range r.Messages {
		e.deliver(m)
	}
}

// HasRoom implements fanout.Pacer.
func (e *events) HasRoom() bool { return e.stream.Outbox().HasRoom() }

// Ready implements fanout.Pacer.
func (e *events) Ready(ctx context.Context) error {
	return e.stream.Outbox().ReadyOrGone(ctx, e, browser.PieceBytes)
}

// Ended implements fanout.Receiver.
func (e *events) Ended(_ *fanout.Subscription, reason string) {
	e.stream.Close(refusal.ClosePassing(reason))
}
