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

	User    status.UserID `json:"user,omitempty"`
	Address string        `json:"address,omitempty"` // of the first event
	// Addresses is how many there were, if there were several: of one IPv6 network,
	// or of a user. It goes up to MaxAddresses, which stands for more too.
	Addresses    int                   `json:"addresses,omitempty"`
	Conversation status.ConversationID `json:"conversation,omitempty"`
	Subject      string                `json:"subject,omitempty"`
	Limit        string                `json:"limit,omitempty"`
	Origin       string                `json:"origin,omitempty"` // of the first event
	Reason       string                `json:"reason,omitempty"` // of the first event
	Code         int                   `json:"code,omitempty"`
	Session      uint64                `json:"session,omitempty"` // left out if they were several sessions'
	Actor        string                `json:"actor,omitempty"`
	DryRun       bool                  `json:"dry_run,omitempty"`

	// Of says how many events of each kind an overflow stands for.
	Of map[Kind]int `json:"of,omitempty"`
	// Node is who recorded it, in a cluster.
	Node string `json:"node,omitempty"`
}

// recordOf is the record of one event, or of as many as it counts.
func recordOf(e Event) Record {
	r := Record{
		Time: e.Time, Kind: e.Kind, Count: e.Count,
		User: e.User, Address: e.Address, Conversation: e.Conversation, Subject: e.Subject,
		Limit: e.Limit, Origin: e.Origin, Reason: e.Reason, Code: e.Code, Session: e.Session,
		Actor: e.Actor, DryRun: e.DryRun,
	}
	if e.Count > 1 && !e.Kind.isAct() {
		r.Until = e.Time
	}
	return r
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
