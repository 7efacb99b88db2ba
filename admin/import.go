package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

const (
	// maxLines bounds what one request of an import may hold.
	maxLines = 10_000
	// maxLineErrors bounds what one answer tells.
	maxLineErrors = 100
)

// importLine is a conversation, also as conversation show prints it: who listens
// is no part of it.
type importLine struct {
	directory.Conversation
	Created     moment          `json:"created"`
	Subscribers json.RawMessage `json:"subscribers"`
}

// conversation is what the line says.
func (l importLine) conversation() directory.Conversation {
	l.Conversation.Created = l.Created.Time
	return l.Conversation
}

// moment is a time as people write it, see status.ParseTime.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(data []byte) (err error) {
	var text *string
	if json.Unmarshal(data, &text) != nil {
		return fmt.Errorf("created is %s: write it as \"2024-01-19T12:00:00Z\"", status.Quote(string(data)))
	}
	if text == nil {
		return nil
	}
	if m.Time, err = status.ParseTime(*text); err != nil {
		return fmt.Errorf("created: %w", err)
	}
	return nil
}

func (s *Service) importLines(ctx context.Context, data []byte) (any, error) {
	lines := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	if len(lines) > maxLines {
		return nil, ErrBadRequest.Withf("the request has %d lines: send at most %d at once", len(lines), maxLines)
	}
	answer := ImportResponse{Lines: len(lines)}
	var list []directory.Conversation
	var numbers []int // line of each
	failures := map[int]error{}
	for i, line := range lines {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var l importLine
		err := parse(line, &l)
		c := l.conversation()
		if err == nil {
			err = s.clear(ctx, c.ID)
		}
		if err != nil {
			failures[i+1] = err
			continue
		}
		list, numbers = append(list, c), append(numbers, i+1)
	}
	for i, o := range s.dir.Import(ctx, list) {
		switch o.Result {
		case directory.Created:
			answer.Created++
			s.changed(ctx, audit.KindConversationCreated, list[i].ID, list[i].Owner, "conversation imported: created"+withMembers(list[i].Members))
		case directory.Updated:
			answer.Updated++
			s.changed(ctx, audit.KindConversationChanged, list[i].ID, list[i].Owner, "conversation imported: changed"+withMembers(list[i].Members))
		case directory.Unchanged:
			answer.Unchanged++
		default:
			failures[numbers[i]] = o.Err
		}
	}
	answer.Failed = len(failures)
	answer.Errors = s.lineErrors(failures, len(lines))
	s.opts.Logger.Info("admin: conversations imported", "created", answer.Created,
		"updated", answer.Updated, "unchanged", answer.Unchanged, "failed", answer.Failed)
	return answer, nil
}

// lineErrors are the first failures in the order of the lines.
func (s *Service) lineErrors(failures map[int]error, lines int) []LineError {
	var list []LineError
	for line := 1; line <= lines && len(list) < maxLineErrors; line++ {
		if failures[line] == nil {
			continue
		}
		answer, hidden := told(failures[line])
		if hidden {
			s.opts.Logger.Error("admin: line of an import failed", "line", line, "error", failures[line])
		}
		list = append(list, LineError{Line: line, Err: answer})
	}
	return list
}
