package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// loss is what lower limits drop from the stream STATUS.
type loss struct {
	before  jetstream.StreamState
	byLimit []string // as in ShrinkError; empty when nothing goes
}

// checkRetention compares the wanted limits with the stream's, and with what it
// holds. It is a *ShrinkError when a lower limit would drop something and
// Options.AllowShrink is not set.
//
// What becomes too old between here and the update is not counted, nor, in a
// cluster, what is stored through another server: the new limits would drop it a
// moment later anyway. Alone, a server stores nothing before its streams are made.
func (e *Engine) checkRetention(ctx context.Context, js jetstream.JetStream) (loss, error) {
	var stream jetstream.Stream
	err := retry(ctx, func(ctx context.Context) (err error) { stream, err = js.Stream(ctx, StreamStatus); return err })
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return loss{}, nil
	}
	if err != nil {
		return loss{}, err
	}
	info := stream.CachedInfo()
	old, next := limitsOf(info.Config), e.opts.Retention
	lost := loss{before: info.State}

	if lower(next.MaxBytes, old.MaxBytes) {
		lost.add(lossOfBytes(info.State, next.MaxBytes))
	}
	if lower(next.MaxPerSubject, old.MaxPerSubject) {
		all, err := stream.Info(ctx, jetstream.WithSubjectFilter(">")) // a million subjects take seconds
		if err != nil {
			return loss{}, err
		}
		lost.add(lossPerSubject(all.State, next.MaxPerSubject))
	}
	if cutoff := time.Now().Add(-next.MaxAge); lower(next.MaxAge, old.MaxAge) && tooOld(info.State, cutoff) {
		var kept uint64
		err := retry(ctx, func(ctx context.Context) (err error) { kept, err = e.countSince(ctx, cutoff); return err })
		if err != nil {
			return loss{}, err
		}
		lost.add(lossOfAge(info.State, next.MaxAge, kept))
	}
	if len(lost.byLimit) > 0 && !e.opts.AllowShrink {
		return loss{}, &ShrinkError{Losses: lost.byLimit}
	}
	return lost, nil
}

func (l *loss) add(text string) {
	if text != "" {
		l.byLimit = append(l.byLimit, text)
	}
}

func limitsOf(c jetstream.StreamConfig) Retention {
	return Retention{MaxAge: c.MaxAge, MaxBytes: c.MaxBytes, MaxPerSubject: c.MaxMsgsPerSubject}
}

// lower compares limits: what is not above zero is none at all.
func lower[N time.Duration | int64](next, old N) bool {
	return next > 0 && (old <= 0 || next < old)
}

func lossOfBytes(s jetstream.StreamState, limit int64) string {
	if s.Bytes <= uint64(limit) {
		return ""
	}
	return fmt.Sprintf("max_bytes %d: %d bytes are stored, the oldest %d would go", limit, s.Bytes, s.Bytes-uint64(limit))
}

func lossPerSubject(s jetstream.StreamState, limit int64) string {
	var gone, subjects, most uint64
	for _, stored := range s.Subjects {
		if stored > uint64(limit) {
			gone += stored - uint64(limit)
			subjects++
			most = max(most, stored)
		}
	}
	if gone == 0 {
		return ""
	}
	return fmt.Sprintf("max_per_subject %d: %d of %d stored statuses would go, on %d subjects, of which one has %d",
		limit, gone, s.Msgs, subjects, most)
}

// tooOld reports whether the oldest is dropped: like the server's own limit, at
// the very cutoff it is.
func tooOld(s jetstream.StreamState, cutoff time.Time) bool {
	return s.Msgs > 0 && !s.FirstTime.After(cutoff)
}

func lossOfAge(s jetstream.StreamState, limit time.Duration, kept uint64) string {
	if kept >= s.Msgs {
		return "" // expired meanwhile
	}
	return fmt.Sprintf("max_age %v: %d of %d stored statuses are older and would go, the oldest is of %s",
		limit, s.Msgs-kept, s.Msgs, s.FirstTime.UTC().Format(time.RFC3339))
}

// countSince is the number of stored statuses that are newer than the cutoff. The
// edge may read statuses, the part that makes the streams may not.
func (e *Engine) countSince(ctx context.Context, cutoff time.Time) (uint64, error) {
	nc, err := e.Connect(PartEdge)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	ask, err := json.Marshal(map[string]any{"start_time": cutoff.Add(1).UTC(), "next_by_subj": ">", "batch": 1})
	if err != nil {
		return 0, err
	}
	first, err := nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+StreamStatus, ask)
	if err != nil {
		return 0, err
	}
	switch first.Header.Get("Status") {
	case "":
		after, err := strconv.ParseUint(first.Header.Get("Nats-Num-Pending"), 10, 64)
		return after + 1, err
	case "404":
		return 0, nil
	}
	return 0, fmt.Errorf("reading the stream %s: %s %s", StreamStatus, first.Header.Get("Status"), first.Header.Get("Description"))
}

// logDropped says how much went; the update has dropped it before it is answered,
// but for what became too old within the last 100 ms, by which the server's clock
// for ages may be behind (nats-server 2.15.2, server/ats): that goes a moment later.
func (e *Engine) logDropped(ctx context.Context, js jetstream.JetStream, lost loss) error {
	if len(lost.byLimit) == 0 {
		return nil
	}
	return retry(ctx, func(ctx context.Context) error {
		stream, err := js.Stream(ctx, StreamStatus)
		if err != nil {
			return err
		}
		now := stream.CachedInfo().State
		added := now.LastSeq - lost.before.LastSeq
		e.logger.Warn("lower limits have dropped stored statuses", "statuses", lost.before.Msgs+added-now.Msgs,
			"left", now.Msgs, "limits", strings.Join(lost.byLimit, "; "))
		return nil
	})
}

// ShrinkError is the refusal to drop stored statuses because limits were lowered.
type ShrinkError struct {
	Losses []string // one for each limit: its name and value, and how much would go
}

// Error names every limit.
func (e *ShrinkError) Error() string {
	return "retention would drop stored statuses: " + strings.Join(e.Losses, "; ")
}
