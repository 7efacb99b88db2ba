package kv

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// Headers and values of the key-value convention (NATS ADR-8).
const (
	operationHeader = "KV-Operation"
	deleteOperation = "DEL"
)

// state says what the bucket holds under a key.
type state int

const (
	absent state = iota // nothing, or the marker of a deletion
	live                // a conversation
	broken              // a value that cannot be read
)

// entry is one key as the bucket last showed it. It is never changed once it is
// in a view. The zero entry is a key that was never seen.
type entry struct {
	state        state
	revision     uint64 // of the key; of its deletion when absent
	conversation directory.Conversation
}

// decode reads one message of the bucket's stream. The error is for the log: it
// never quotes the value.
func decode(key string, header nats.Header, data []byte, revision uint64) (status.ConversationID, *entry, error) {
	id, err := status.ParseConversationID(key)
	if err != nil {
		return "", nil, err
	}
	if header.Get(operationHeader) != "" || header.Get(jetstream.MarkerReasonHeader) != "" {
		return id, &entry{state: absent, revision: revision}, nil
	}
	var c directory.Conversation
	if err := json.Unmarshal(data, &c); err != nil {
		return id, &entry{state: broken, revision: revision}, fmt.Errorf("value of %d bytes is not a conversation in JSON", len(data))
	}
	if c.ID != id {
		return id, &entry{state: broken, revision: revision}, fmt.Errorf("value is of another conversation than its key")
	}
	if c.Validate() != nil {
		return id, &entry{state: broken, revision: revision}, fmt.Errorf("value breaks a rule of conversations")
	}
	return id, &entry{state: live, revision: revision, conversation: c.Normalized()}, nil
}

// encode writes the value of a conversation. Not escaping HTML keeps the
// largest one, 1,000 members with ids of 256 bytes, below 1 MiB.
func encode(c directory.Conversation) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (e *entry) same(f *entry) bool {
	return e.state == f.state && e.revision == f.revision && e.conversation.Equal(f.conversation)
}
