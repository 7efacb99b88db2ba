package kv

import (
	"github.com/nats-io/nats.go"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// Decode reads a value of the bucket. It is false when the value counts as unknown.
func Decode(key string, header nats.Header, data []byte) (status.ConversationID, directory.Conversation, bool) {
	id, e, err := decode(key, header, data, 1)
	if e == nil {
		return id, directory.Conversation{}, false
	}
	return id, e.conversation, err == nil && e.state == live
}

// Encode writes a value of the bucket.
var Encode = encode
