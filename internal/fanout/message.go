package fanout

import (
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/status"
)

// Headers that the STATUS stream adds to a republished status (ADR-28).
const (
	headerSequence     = "Nats-Sequence"
	headerLastSequence = "Nats-Last-Sequence"
	headerTime         = "Nats-Time-Stamp"
	headerStream       = "Nats-Stream"
	headerSubject      = "Nats-Subject"
)

// Message is one message on its way to the receivers of a topic. It does not
// change once it is handed out.
type Message struct {
	Subject  string
	Header   nats.Header
	Data     []byte
	Epoch    string // of the sequence; "" when it is not known
	Sequence uint64 // 0 for what is not from the stream, such as presence
	Low      bool   // of low priority: the first to be left out for a slow browser
	// Replayed is true when it was read from the stream for this one subscription:
	// SubscribeAfter. What mends a hole for all is not.
	Replayed bool

	prev     uint64 // Nats-Last-Sequence
	position *position
	encoded  []encoded
	declined int // receivers that did not want it, of those who are to be counted
}

// encoded is a message in the form that one kind of subscription gets.
type encoded struct {
	sid     string
	variant uint8
	frame   []byte
}

// maxEncoded bounds the forms that a message keeps: most subscriptions to a
// subject have one of a few sids, so a short list serves nearly all.
const maxEncoded = 16

// Encoded returns the message as encode makes it for the sid and the variant (a
// form such as "without headers"), made once for all receivers that ask alike.
// The bytes may be kept but not changed. Only for use within Receiver.Deliver.
func (m *Message) Encoded(sid string, variant uint8, encode func(m *Message, sid string, variant uint8) []byte) []byte {
	return encodeOnce(&m.encoded, sid, variant, func() []byte { return encode(m, sid, variant) })
}

// Decline says that the receiver does not want m although it was handed it, so that
// it is no delivery. Once at most for a receiver, and only within Receiver.Deliver or
// RunReceiver.DeliverRun.
func (m *Message) Decline() { m.declined++ }

func encodeOnce(known *[]encoded, sid string, variant uint8, encode func() []byte) []byte {
	for i := range *known {
		if e := &(*known)[i]; e.variant == variant && e.sid == sid {
			return e.frame
		}
	}
	frame := encode()
	if len(*known) < maxEncoded {
		*known = append(*known, encoded{sid: sid, variant: variant, frame: frame})
	}
	return frame
}

func newMessage(m *nats.Msg) *Message {
	return &Message{
		Subject:  m.Subject,
		Header:   m.Header,
		Data:     m.Data,
		Sequence: headerNumber(m.Header, headerSequence),
		Low:      isLow(m.Header),
		prev:     headerNumber(m.Header, headerLastSequence),
	}
}

// storedMessage gives a status that was fetched the headers that it would have
// had live.
func storedMessage(st Stored, prev uint64) *Message {
	m := replayedMessage(st)
	m.Header[headerLastSequence] = number(prev)
	return m
}

// replayedMessage is storedMessage where it is not known what stood before.
func replayedMessage(st Stored) *Message {
	h := make(nats.Header, len(st.Header)+3)
	maps.Copy(h, st.Header)
	h[headerSequence] = number(st.Sequence)
	if !st.Time.IsZero() {
		h[headerTime] = []string{st.Time.UTC().Format(time.RFC3339Nano)}
	}
	return &Message{Subject: st.Subject, Header: h, Data: st.Data, Sequence: st.Sequence, Low: isLow(h)}
}

// own returns the message for one receiver alone: it shares header and data, and
// none of the forms that others ask for meanwhile.
func (m *Message) own() *Message {
	c := *m
	c.encoded, c.position, c.declined = nil, nil, 0
	return &c
}

// tell adds to a message that nobody has yet that retention has taken something
// before it: the first sequence that could be had.
func (m *Message) tell(first uint64) {
	m.Header = maps.Clone(m.Header)
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	m.Header[status.HeaderTruncated] = number(first)
}

func isLow(h nats.Header) bool {
	v := h[status.HeaderPriority]
	return len(v) > 0 && v[0] == string(status.PriorityLow)
}

// number is a header's value.
func number(n uint64) []string { return []string{strconv.FormatUint(n, 10)} }

func headerNumber(h nats.Header, name string) uint64 {
	v := h[name]
	if len(v) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(v[0], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
