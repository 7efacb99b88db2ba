package status

import (
	"encoding/json"
	"time"
)

// MaxMessageBytes is the largest payload that a publisher may send.
const MaxMessageBytes = 64 << 10

// MaxStoredBytes is the largest message that can come to be stored: the payload
// with the missing fields filled in, and the headers. A stream's and a server's
// own limits have to leave that much room.
const MaxStoredBytes = MaxMessageBytes + MaxHeaderBytes + 1<<10

// MaxDepth is how deep a payload may nest; its outermost object is level 1.
const MaxDepth = 64

// MaxIDBytes bounds Message.ID.
const MaxIDBytes = 128

// Message is a status as services publish it and browsers receive it:
//
//	{"category":"engine","text":"Processing query…","metadata":{"step":1},"timestamp":"2024-01-19T12:00:00Z"}
//
// Only Text is required. The JSON may have other fields: they reach the
// browsers as they are, but have no place here.
type Message struct {
	// Category is filled in from the subject when empty.
	Category Category `json:"category,omitempty"`
	// Text says what happened, for people. Not empty.
	Text string `json:"text"`
	// Metadata is a JSON object of the application's own, or empty.
	Metadata json.RawMessage `json:"metadata,omitempty"`
	// Timestamp is when it happened; the time of its arrival when zero.
	Timestamp time.Time `json:"timestamp,omitzero"`
	// Priority is PriorityNormal when empty.
	Priority Priority `json:"priority,omitempty"`
	// ID makes publishing it again harmless: of the statuses with one id on one
	// subject only the first is stored, within the stream's duplicate window of
	// two minutes. 1 to 128 printable ASCII characters, or empty.
	ID string `json:"id,omitempty"`
}

// Priority says what may wait, or be left out, when a browser is slow.
type Priority string

// The priorities. A message without one is normal.
const (
	PriorityLow    Priority = "low"
	PriorityNormal Priority = "normal"
	PriorityHigh   Priority = "high"
	PriorityUrgent Priority = "urgent"
)

// Known reports whether p is one of the four priorities.
func (p Priority) Known() bool {
	switch p {
	case PriorityLow, PriorityNormal, PriorityHigh, PriorityUrgent:
		return true
	}
	return false
}

// AtLeast reports whether p is as urgent as least, or more. What is no known
// priority counts as normal.
func (p Priority) AtLeast(least Priority) bool { return p.rank() >= least.rank() }

func (p Priority) rank() int {
	switch p {
	case PriorityLow:
		return 0
	case PriorityHigh:
		return 2
	case PriorityUrgent:
		return 3
	}
	return 1
}

// UnmarshalJSON decodes a stored status. Unlike encoding/json it tells the
// field "text" from one named "Text", as every other client does.
func (m *Message) UnmarshalJSON(data []byte) error {
	if string(data) == "null" { // no-op by convention
		return nil
	}
	env, err := parseEnvelope(data)
	if err != nil {
		return err
	}
	var decoded Message
	for f, into := range [numFields]any{
		fieldCategory:  &decoded.Category,
		fieldText:      &decoded.Text,
		fieldMetadata:  &decoded.Metadata,
		fieldTimestamp: &decoded.Timestamp,
		fieldPriority:  &decoded.Priority,
		fieldID:        &decoded.ID,
	} {
		if raw := env.value(data, field(f)); raw != nil {
			if err := json.Unmarshal(raw, into); err != nil {
				return err
			}
		}
	}
	*m = decoded
	return nil
}
