package edge

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/status"
)

// Welcome is the answer to a join.
type Welcome struct {
	Conversation status.ConversationID `json:"conversation"`
	// Categories are those that the conversation has: the default ones, then
	// its own.
	Categories []status.Category `json:"categories"`
	Limits     Limits            `json:"limits"`
	// Presence is who is present, in the order of arrival, as edge.<c>.presence
	// answers it; at most the first hundred, then PresenceTruncated is true.
	Presence          []presence.Member `json:"presence"`
	PresenceTruncated bool              `json:"presence_truncated,omitempty"`
	// Epoch names the life of the stream that the snapshot's sequences are of. It
	// belongs to every place that is kept.
	Epoch    string   `json:"epoch"`
	Snapshot Snapshot `json:"snapshot"`
}

// Snapshot is the last status of each category, all true at one sequence.
type Snapshot struct {
	// UpToSequence: every status that is newer than the snapshot has a greater
	// Nats-Sequence. It is the stream's last one, also when the conversation has
	// no status yet.
	UpToSequence uint64 `json:"up_to_seq"`
	// Statuses are in the order of their sequences.
	Statuses []StoredStatus `json:"statuses"`
	// Truncated is true when the oldest were left out because the answer would have
	// become too large. LeftOut says which: a history brings them.
	Truncated bool      `json:"truncated,omitempty"`
	LeftOut   []LeftOut `json:"left_out,omitempty"`
}

// LeftOut is a category whose last status is not in a snapshot.
type LeftOut struct {
	Category status.Category `json:"category"`
	Sequence uint64          `json:"seq"`
}

// StoredStatus is one status of a snapshot.
type StoredStatus struct {
	Sequence uint64 `json:"seq"`
	Subject  string `json:"subject"`
	// Status is the message as it was stored, see status.Message.
	Status json.RawMessage `json:"status"`
}

// join answers edge.<c>.join.
func (s *Service) join(ctx context.Context, r request) (any, error) {
	c, err := s.conversation(ctx, r)
	if err != nil {
		return nil, err
	}
	snapshot, err := s.deps.History.Snapshot(ctx, r.conversation)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	list := s.list(r.conversation)
	members, size := firstMembers(list[:min(len(list), maxWelcomed)], s.room())
	return Welcome{
		Conversation: c.ID,
		Categories:   c.AllCategories(),
		Limits:       s.opts.Limits,

		Presence:          members,
		PresenceTruncated: len(members) < len(list),
		Epoch:             snapshot.Epoch,
		Snapshot:          s.snapshot(snapshot, s.room()-size),
	}, nil
}

// maxWelcomed is how many members a Welcome names.
const maxWelcomed = 100

// answerReserve is what an answer needs beside its statuses and members: the names of
// 38 categories, twice if they are left out, the limits and the headers take less.
const answerReserve = 8 << 10

// room is how many bytes of statuses and members fit into one answer.
func (s *Service) room() int64 {
	return min(s.nc.MaxPayload()-answerReserve, int64(s.opts.MaxAnswerBytes))
}

// snapshot makes the answer's form of a snapshot, as much of it as fits into room,
// the newest first choice.
func (s *Service) snapshot(from history.Snapshot, room int64) Snapshot {
	first := len(from.Messages)
	for ; first > 0; first-- {
		m := from.Messages[first-1]
		if room -= int64(len(m.Data) + len(m.Subject) + len(`{"seq":18446744073709551615,"subject":"","status":},`)); room < 0 {
			break
		}
	}
	out := Snapshot{UpToSequence: from.UpToSequence, Statuses: []StoredStatus{}, Truncated: first > 0}
	for _, m := range from.Messages[:first] {
		if _, c, err := status.ParseSubject(m.Subject); err == nil {
			out.LeftOut = append(out.LeftOut, LeftOut{Category: c, Sequence: m.Sequence})
		}
	}
	for _, m := range from.Messages[first:] {
		if !json.Valid(m.Data) { // the broadcaster stores none; somebody wrote past it
			s.opts.Logger.Error("edge: a stored status is not JSON", "subject", m.Subject, "sequence", m.Sequence)
			continue
		}
		out.Statuses = append(out.Statuses, StoredStatus{Sequence: m.Sequence, Subject: m.Subject, Status: m.Data})
	}
	return out
}
