package history

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/status"
)

// piece is what one request without a filter has brought: all that was stored
// from from to through at one moment. It does not change.
type piece struct {
	from, through uint64
	epoch         string // the life of the stream that it is of, or was until then
	bytes         int
	messages      []Message
	first         map[string]int // of each conversation, in messages
	next          []int          // of the same conversation; 0 for none
}

// newPiece takes what was read from from on, as far as last. There must be a
// message: nothing else says how far the read has come.
func newPiece(epoch string, from, last uint64, read []Message) *piece {
	p := &piece{from: from, through: min(last, read[len(read)-1].Sequence), epoch: epoch, first: map[string]int{}}
	n := len(read)
	for n > 0 && read[n-1].Sequence > last {
		n--
	}
	p.messages, p.next = slices.Clone(read[:n]), make([]int, n)
	for i, m := range slices.Backward(p.messages) {
		c := conversationPart(m.Subject)
		p.next[i] = p.first[c] // the first of all follows none
		p.first[c] = i
		p.bytes += messageBytes + len(m.Subject) + len(m.Data) + headerBytes(m.Header)
		p.messages[i].Header = trimmed(m.Header)
	}
	return p
}

// trimmed returns a copy without the room that direct get's headers have left, and
// with values that nobody can add to in place.
func trimmed(h nats.Header) nats.Header {
	if h == nil {
		return nil
	}
	t := make(nats.Header, len(h))
	for name, values := range h {
		t[name] = slices.Clip(slices.Clone(values))
	}
	return t
}

// conversationPart is status.<c>. of status.<c>.<cat>.
func conversationPart(subject string) string {
	return subject[:strings.LastIndexByte(subject, '.')+1]
}

// headerBytes is about what a header takes in memory.
func headerBytes(h nats.Header) int {
	if h == nil {
		return 0
	}
	n := 300
	for name, values := range h {
		n += len(name) + 16
		for _, v := range values {
			n += len(v) + 16
		}
	}
	return n
}

func (p *piece) holds(seq uint64) bool { return p.from <= seq && seq <= p.through }

// find returns the piece that holds the sequence, or nil.
func find(pieces []*piece, seq uint64) *piece {
	for _, p := range pieces {
		if p.holds(seq) {
			return p
		}
	}
	return nil
}

// since returns the first message of any conversation that is not below from; nil
// for none.
func (p *piece) since(from uint64) *Message {
	i, _ := slices.BinarySearchFunc(p.messages, from, bySequence)
	if i == len(p.messages) {
		return nil
	}
	return &p.messages[i]
}

func bySequence(m Message, seq uint64) int { return cmp.Compare(m.Sequence, seq) }

// gap returns the first place between two sequences from which on something may be
// missing that was there when what stands before was read: the beginning of the
// piece, which was read at another time than the one before, or where a sequence is
// missing, as age goes on while the server reads (2.15.2). It is 0 for none.
func (p *piece) gap(after, before uint64) uint64 {
	at := p.from
	if at > after && at < before {
		return at
	}
	for _, m := range p.messages {
		if m.Sequence > at && at > after && at < before {
			return at
		}
		at = m.Sequence + 1
	}
	if at <= p.through && at > after && at < before {
		return at
	}
	return 0
}

// of returns the messages of a conversation that are not below from. They are not
// the caller's: see own.
func (p *piece) of(c status.ConversationID, from uint64) func(yield func(*Message) bool) {
	return func(yield func(*Message) bool) {
		i, ok := p.first[conversationPart(status.ConversationSubjects(c))]
		for ok {
			if m := &p.messages[i]; m.Sequence >= from && !yield(m) {
				return
			}
			i = p.next[i]
			ok = i > 0
		}
	}
}

// own returns the message for one receiver, who may change its header. The data
// is shared, and nobody changes it.
func (m *Message) own() Message {
	c := *m
	c.Header = maps.Clone(m.Header)
	return c
}
