package audit

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/statuswire/statuswire/status"
)

// Record is what stands in the stream: one event, or several folded into one.
type Record struct {
	Time  time.Time `json:"time"`           // of the first event, UTC
	Until time.Time `json:"until,omitzero"` // of the last one, if there were several
	Kind  Kind      `json:"kind"`
	Count int       `json:"count"` // how many events, at least 1

	User         status.UserID         `json:"user,omitempty"`
	Address      string                `json:"address,omitempty"`
	Conversation status.ConversationID `json:"conversation,omitempty"`
	Subject      string                `json:"subject,omitempty"`
	Limit        string                `json:"limit,omitempty"`
	Reason       string                `json:"reason,omitempty"` // of the first event
	Code         int                   `json:"code,omitempty"`
	Session      uint64                `json:"session,omitempty"` // left out if they were several sessions'
	Actor        string                `json:"actor,omitempty"`
	DryRun       bool                  `json:"dry_run,omitempty"`

	// Various says that different events are summed up: of what they had in
	// common, only kind, user and address are told.
	Various bool `json:"various,omitempty"`
	// Node is who recorded it, in a cluster.
	Node string `json:"node,omitempty"`
}

// encode writes the record for people to read: `&` stays `&`, times are UTC with
// milliseconds at most.
func (r Record) encode() ([]byte, error) {
	r.Time = r.Time.UTC().Truncate(time.Millisecond)
	if !r.Until.IsZero() {
		r.Until = r.Until.UTC().Truncate(time.Millisecond)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
