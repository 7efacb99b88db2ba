package admin

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/statuswire/statuswire/internal/directory"
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
	Subscribers json.RawMessage `json:"subscribers"`
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
		c := l.Conversation
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
			s.changed(ctx, list[i].ID, "", "conversation imported: created")
		case directory.Updated:
			answer.Updated++
			s.changed(ctx, list[i].ID, "", "conversation imported: changed")
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
