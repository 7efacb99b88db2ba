package bucket

import (
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers and values of the key-value convention (NATS ADR-8).
const (
	operationHeader = "KV-Operation"
	deleteOperation = "DEL"
)

// State says what the bucket holds under a key.
type State int

// The states.
const (
	Absent State = iota // nothing, or the marker of a deletion
	Live                // a value
	Broken              // a value that cannot be read
)

// Entry is one key as the bucket last showed it: treat it as read-only, it is
// shared with everybody who asks. The zero entry is a key that was never seen.
type Entry[T any] struct {
	State    State
	Revision uint64 // of the key; of its deletion when absent
	Value    T
}

// Values says what the values of a bucket are. All are required.
type Values[T any] struct {
	// Key is an error for what is no key of the bucket: it is logged and passed over.
	Key func(key string) error
	// Decode reads a value. The error is for the log: it must not quote the value.
	Decode func(key string, data []byte) (T, error)
	// Encode writes one.
	Encode func(T) ([]byte, error)
	// Equal tells whether nobody needs to hear of the difference.
	Equal func(a, b T) bool
}

// entry reads one message of the bucket's stream: nil when the key is none. The
// error is for the log.
func (v Values[T]) entry(key string, header nats.Header, data []byte, revision uint64) (*Entry[T], error) {
	if err := v.Key(key); err != nil {
		return nil, err
	}
	if header.Get(operationHeader) != "" || header.Get(jetstream.MarkerReasonHeader) != "" {
		return &Entry[T]{State: Absent, Revision: revision}, nil
	}
	value, err := v.Decode(key, data)
	if err != nil {
		return &Entry[T]{State: Broken, Revision: revision}, err
	}
	return &Entry[T]{State: Live, Revision: revision, Value: value}, nil
}

func (v Values[T]) same(e, f *Entry[T]) bool {
	return e.State == f.State && e.Revision == f.Revision && v.Equal(e.Value, f.Value)
}
