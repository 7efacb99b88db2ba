package sse

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/status"
)

// history answers a request with stored statuses, one JSON object on each line,
// and a last line that says how it went. It asks the edge as a browser does with
// edge.<c>.history, so that all bounds are there, and is paced as a browser is.
//
//	stream ── edge.<c>.history.<user> ─▶ edge
//	   ▲                                  │ parts, then a last message
//	   └── run: the end ◀── ended ◀── relay (Part, Last, NoAnswer)
type history struct {
	query  historyQuery
	stream *Stream

	// From the relay to the stream's goroutine.
	begun chan struct{}        // closed with the first part
	ended chan refusal.Closing // one value

	// The relay's alone.
	coming bool // the first part has come
	count  int  // lines so far
}

// History reads what a request for the history asks for, or says what is wrong with it.
func History(r *http.Request) (Body, error) {
	q, err := parseHistoryQuery(r)
	if err != nil {
		return nil, err
	}
	return &history{query: q, begun: make(chan struct{}), ended: make(chan refusal.Closing, 1)}, nil
}

func (*history) name() string        { return "http" }
func (*history) contentType() string { return "application/x-ndjson" }

// open implements Body.
func (h *history) open(s *Stream) error {
	h.stream = s
	subject := status.EdgeSubject(s.conversation, status.EdgeHistory)
	if r := h.admit(subject); r.Is() {
		s.Note(subject, r)
		return refusal.End(refusal.CloseRefused(r))
	}
	ask, err := json.Marshal(h.query)
	if err != nil {
		return refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
	}
	if err := s.ask(subject, ask, h); err != nil {
		return err
	}
	return h.await(s)
}

// await returns with the first part of the answer, or its end.
func (h *history) await(s *Stream) error {
	select {
	case <-h.begun:
		return nil
	case why := <-h.ended:
		switch {
		case h.hasBegun(): // both at once
		case why.Wire != nil:
			return refusal.End(why)
		case !s.answer(nil):
			return refusal.End(refusal.CloseDone())
		}
		h.ended <- why // serve finds it
		return nil
	case <-s.Context().Done():
		return refusal.End(refusal.CloseDone())
	}
}

// hasBegun is true when a part has come.
func (h *history) hasBegun() bool {
	select {
	case <-h.begun:
		return true
	default:
		return false
	}
}

// admit decides as for the request of a browser, and on each category as for a SUB
// of it.
func (h *history) admit(subject string) refusal.Refusal {
	s := h.stream
	if r := s.mayAsk(subject); r.Is() {
		return r
	}
	g := s.Grant()
	notGranted := refusal.Refusal{Why: metrics.RefusalPermission}.InWords()
	if len(h.query.Categories) == 0 && !g.CanSubscribe(status.ConversationSubjects(s.conversation), "") {
		// A login decision of somebody's own may grant single categories.
		if h.query.Categories = s.granted(); len(h.query.Categories) == 0 {
			return notGranted
		}
	}
	for _, c := range h.query.Categories {
		if !g.CanSubscribe(status.Subject(s.conversation, c), "") {
			return notGranted
		}
	}
	return refusal.Refusal{}
}

// serve implements Body.
func (h *history) serve(s *Stream) refusal.Closing {
	for {
		select {
		case why := <-h.ended:
			return written(s, why)
		default:
		}
		why, over := s.listen()
		switch {
		case s.saidAll:
			return h.finish(s)
		case over:
			return why
		}
	}
}

// finish waits for the end of an answer whose reader says nothing any more, and may
// be gone: that shows when the next part is written. The bounds of a history hold.
func (h *history) finish(s *Stream) refusal.Closing {
	select {
	case why := <-h.ended:
		return written(s, why)
	case <-s.Outbox().Finished():
	case <-s.Context().Done():
	}
	return refusal.CloseDone()
}

// written returns why when everything before it is on its way. Whoever closes waits
// a second at most for what is not written yet, and a reader may take longer: as
// long as the outbox has patience with a write.
func written(s *Stream, why refusal.Closing) refusal.Closing {
	s.Outbox().Drained(s.Context())
	return why
}

// shut implements Body. What the relay still has for it is let go with the socket.
func (*history) shut(*Stream) {}

// end has the stream end.
func (h *history) end(why refusal.Closing) {
	h.ended <- why
	h.stream.wake()
}

// Part implements relay.Receiver.
func (h *history) Part(header nats.Header, data []byte) {
	s := h.stream
	subject := header.Get(status.HeaderSubject)
	if !h.coming {
		h.coming = true
		s.answer(nil)
		close(h.begun)
	}
	if g := s.Grant(); g.Filters() && !g.CanReceive(subject, "") {
		return
	}
	if !json.Valid(data) { // the broadcaster stores none; somebody wrote past it
		s.endpoint.opts.Logger.Error("a stored status is not JSON", "subject", subject)
		return
	}
	h.count++
	s.Outbox().Put(historyLine(header.Get(status.HeaderSequence), subject, header.Get(status.HeaderTimeStamp), data))
}

// Last implements relay.Receiver.
func (h *history) Last(header nats.Header, data []byte) {
	refused := relay.RefusedBy(header, data)
	switch {
	case relay.IsNobody(header):
		h.NoAnswer()
	case refused != nil:
		h.end(refusal.CloseError(refused))
	default:
		h.end(refusal.CloseAnswered(historyEnd(h.count, header)))
	}
}

// NoAnswer implements relay.Receiver.
func (h *history) NoAnswer() { h.end(refusal.ClosePassing(refusal.ReasonUnavailable)) }

// farewell implements Body: the last line says how it went.
func (*history) farewell(why refusal.Closing) []byte {
	if why.Wire != nil {
		return refusalBody(why.Wire)
	}
	return why.Tail
}

// historyLine is one status:
//
//	{"seq":53,"subject":"status.demo.engine","time":"2026-01-19T12:00:00Z","status":{"category":"engine",…}}
func historyLine(seq, subject, stored string, data []byte) []byte {
	b := make([]byte, 0, len(data)+len(subject)+len(stored)+64)
	b = append(b, `{"seq":`...)
	b = append(b, seq...)
	b = append(b, `,"subject":"`...)
	b = append(b, subject...)
	b = append(b, `","time":"`...)
	b = append(b, stored...)
	b = append(b, `","status":`...)
	b = append(b, oneLine(data)...)
	return append(b, "}\n"...)
}

// historyEnd is the last line:
//
//	{"end":{"count":1,"next_after":53,"epoch":"d9fdx0sj3k3z","more":false,"truncated":6}}
func historyEnd(count int, header nats.Header) []byte {
	b := strconv.AppendInt([]byte(`{"end":{"count":`), int64(count), 10)
	b = append(b, `,"next_after":`...)
	b = append(b, header.Get(status.HeaderNextAfter)...)
	b = append(b, `,"epoch":"`...)
	b = append(b, header.Get(status.HeaderEpoch)...)
	b = append(b, `","more":`...)
	b = strconv.AppendBool(b, header.Get(status.HeaderMore) == "true")
	if first := header.Get(status.HeaderTruncated); first != "" {
		b = append(b, `,"truncated":`...)
		b = append(b, first...)
	}
	return append(b, "}}\n"...)
}
