package history

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Message is one stored status.
type Message struct {
	// Subject is status.<conversation>.<category>.
	Subject string
	// Sequence is the message's place in the stream.
	Sequence uint64
	// Time is when the stream stored it.
	Time time.Time
	// Header is what the publisher and the broadcaster wrote; nil if nothing.
	// What direct get adds (Nats-Sequence and the like) is in the fields above
	// and not in here: its Nats-Last-Sequence counts within the answer, not
	// within the subject, and must not be taken for the live one.
	Header nats.Header
	// Data is the message as the broadcaster stored it.
	Data []byte
}

// Headers that direct get adds to each message, and those of its last word.
const (
	headerStream      = "Nats-Stream"
	headerSubject     = "Nats-Subject"
	headerSequence    = "Nats-Sequence"
	headerTime        = "Nats-Time-Stamp"
	headerPending     = "Nats-Num-Pending"
	headerLast        = "Nats-Last-Sequence"
	headerUpTo        = "Nats-UpTo-Sequence"
	headerStatus      = "Status"
	headerDescription = "Description"
)

// decode makes a Message of a direct get's answer. It takes the header apart.
func decode(m *nats.Msg) (Message, error) {
	msg := Message{Subject: last(m.Header, headerSubject), Data: m.Data}
	var err error
	if msg.Sequence, err = strconv.ParseUint(last(m.Header, headerSequence), 10, 64); err != nil {
		return Message{}, fmt.Errorf("%w: sequence: %v", ErrBadAnswer, err)
	}
	if msg.Time, err = time.Parse(time.RFC3339Nano, last(m.Header, headerTime)); err != nil {
		return Message{}, fmt.Errorf("%w: time of %d: %v", ErrBadAnswer, msg.Sequence, err)
	}
	if msg.Subject == "" {
		return Message{}, fmt.Errorf("%w: message %d has no subject", ErrBadAnswer, msg.Sequence)
	}
	for _, name := range []string{headerStream, headerSubject, headerSequence, headerTime, headerPending, headerLast} {
		delete(m.Header, name)
	}
	if len(m.Header) > 0 {
		msg.Header = m.Header
	}
	return msg, nil
}

// last returns the last value of a header. The server appends its own headers
// behind the publisher's (2.15.2), so the last value is the one to believe.
func last(h nats.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}
