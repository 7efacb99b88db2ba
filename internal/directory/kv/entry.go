package kv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/statuswire/statuswire/internal/bucket"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// entry is one key as the bucket last showed it.
type entry = bucket.Entry[directory.Conversation]

// values are the conversations in the bucket.
func values() bucket.Values[directory.Conversation] {
	return bucket.Values[directory.Conversation]{
		Key: func(key string) error {
			_, err := status.ParseConversationID(key)
			return err
		},
		Decode: decode,
		Encode: encode,
		Equal:  directory.Conversation.Equal,
	}
}

// decode reads the value of a key. Only what encode writes is a conversation: who
// gets something else into the bucket gets nobody into one. The error is for the log:
// it never quotes the value.
func decode(key string, data []byte) (directory.Conversation, error) {
	var c directory.Conversation
	if err := json.Unmarshal(data, &c); err != nil {
		return directory.Conversation{}, fmt.Errorf("value of %d bytes is not a conversation in JSON", len(data))
	}
	if string(c.ID) != key {
		return directory.Conversation{}, errors.New("value is of another conversation than its key")
	}
	if c.Validate() != nil {
		return directory.Conversation{}, errors.New("value breaks a rule of conversations")
	}
	c = c.Normalized()
	if again, err := encode(c); err != nil || !bytes.Equal(again, data) {
		return directory.Conversation{}, errors.New("value is not as it is written here: a field more, twice, or in another order")
	}
	return c, nil
}

// encode writes the value of a conversation. Not escaping HTML keeps the
// largest one, 1,000 members with ids of 256 bytes, below 1 MiB.
func encode(c directory.Conversation) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c.Normalized()); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
