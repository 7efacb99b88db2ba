package browser

import (
	"maps"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/status"
)

// The first status behind a gap that retention has made says so in a header. If
// that status is one that the browser may not have, the next one says it.

// GapBefore is what the message says of a gap before it; nil for none.
func GapBefore(m *fanout.Message) []string { return m.Header[status.HeaderTruncated] }

// KeepGap takes note of a message that the browser may not have: it is no delivery,
// and a gap before it is still to be told.
func (sub *Subscription) KeepGap(m *fanout.Message) {
	m.Decline()
	if gap := GapBefore(m); len(gap) > 0 {
		sub.gap.Store(&gap)
	}
}

// TellGap returns the message with the gap that is still to be told.
func (sub *Subscription) TellGap(m *fanout.Message) *fanout.Message {
	gap := sub.gap.Swap(nil)
	if gap == nil || len(GapBefore(m)) > 0 {
		return m
	}
	told := &fanout.Message{Subject: m.Subject, Header: maps.Clone(m.Header), Data: m.Data, Sequence: m.Sequence}
	told.Header[status.HeaderTruncated] = *gap
	return told
}

// HasGap is true while a gap is still to be told.
func (sub *Subscription) HasGap() bool { return sub.gap.Load() != nil }
