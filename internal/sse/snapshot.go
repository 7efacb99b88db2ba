package sse

import (
	"encoding/json"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/status"
)

// snapshot is what the gateway reads of the answer to edge.<c>.join: the last
// status of each category, in the order of the stream. Everything newer has a
// sequence above UpTo.
type snapshot struct {
	Epoch    string `json:"-"` // of all sequences
	UpTo     uint64 `json:"up_to_seq"`
	Statuses []struct {
		Sequence uint64          `json:"seq"`
		Subject  string          `json:"subject"`
		Status   json.RawMessage `json:"status"`
	} `json:"statuses"`
	// LeftOut are those that the answer had no room for.
	LeftOut []struct {
		Category status.Category `json:"category"`
		Sequence uint64          `json:"seq"`
	} `json:"left_out"`
}

// before is the place after which the stream has the statuses of the snapshot, those
// that were left out too, and everything newer, and nothing else of these categories.
func (s snapshot) before(c status.ConversationID) fanout.Place {
	p := fanout.Place{Epoch: s.Epoch, After: s.UpTo, Seen: map[string]uint64{}}
	for _, st := range s.LeftOut {
		p.Seen[status.Subject(c, st.Category)] = st.Sequence - 1
	}
	for _, st := range s.Statuses {
		p.Seen[st.Subject] = st.Sequence - 1
	}
	for _, seq := range p.Seen {
		p.After = min(p.After, seq)
	}
	return p
}

// snapshot asks the edge. The error is made by refusal.End.
func (s *Stream) snapshot() (snapshot, error) {
	subject := status.EdgeSubject(s.conversation, status.EdgeJoin)
	if r := s.mayAsk(subject); r.Is() {
		s.Note(subject, r)
		return snapshot{}, refusal.End(refusal.CloseRefused(r))
	}
	to := make(oneAnswer, 1)
	if err := s.ask(subject, nil, to); err != nil {
		return snapshot{}, err
	}
	var m *nats.Msg
	select {
	case m = <-to:
	case <-s.Context().Done():
		return snapshot{}, refusal.End(refusal.CloseDone())
	}
	var welcome struct {
		Epoch    string
		Snapshot *snapshot
	}
	if refused := relay.RefusedBy(m.Header, m.Data); refused != nil {
		return snapshot{}, refusal.End(refusal.CloseError(refused))
	}
	if err := json.Unmarshal(m.Data, &welcome); err != nil || welcome.Snapshot == nil {
		return snapshot{}, refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
	}
	welcome.Snapshot.Epoch = welcome.Epoch
	return *welcome.Snapshot, nil
}

// oneAnswer takes the answer to a request that has no parts; an empty message when
// there is none. It has room for one.
type oneAnswer chan *nats.Msg

func (oneAnswer) Part(nats.Header, []byte) {}

func (a oneAnswer) Last(header nats.Header, data []byte) { a <- &nats.Msg{Header: header, Data: data} }

func (a oneAnswer) NoAnswer() { a <- &nats.Msg{} }

// appendSnapshot appends the events of what the stream may have of the snapshot.
func (e *events) appendSnapshot(b []byte, shot snapshot) []byte {
	for _, st := range shot.Statuses {
		if sub := e.sub(st.Subject); sub != nil && sub.MayReceive(st.Subject) {
			b = appendStatus(b, eventID{st.Sequence, shot.Epoch}, st.Status)
		}
	}
	return b
}
