package sse

import (
	"bytes"
	"strconv"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/status"
)

// heartbeat is a comment, which EventSource passes over. What is written is never
// changed.
var heartbeat = []byte(":\n\n")

// Variants of a message, none of which another dialect has.
const (
	variantEvent uint8 = iota + 16
	variantTruncated
)

// encodeEvent makes the event of a status, the same for every stream:
//
//	id: 53-d9fdx0sj3k3z
//	event: status
//	data: {"category":"engine",…}
//
// The id is the status's sequence and the epoch that it is of. In front of it stands what was dropped.
func encodeEvent(m *fanout.Message, _ string, _ uint8) []byte {
	b := make([]byte, 0, len(m.Data)+80)
	return appendStatus(appendTruncated(b, m), eventID{m.Sequence, m.Epoch}, m.Data)
}

func appendStatus(b []byte, id eventID, data []byte) []byte {
	b = id.append(append(b, "id: "...))
	return appendEvent(append(b, '\n'), "status", oneLine(data))
}

// encodeTruncated is encodeEvent for a stream that does not want the status.
func encodeTruncated(m *fanout.Message, _ string, _ uint8) []byte { return appendTruncated(nil, m) }

func appendTruncated(b []byte, m *fanout.Message) []byte {
	first := m.Header.Get(status.HeaderTruncated)
	if first == "" {
		return b
	}
	return appendEvent(b, "truncated", []byte(`{"first_seq":`+first+`}`))
}

func appendEvent(b []byte, name string, line []byte) []byte {
	b = append(b, "event: "...)
	b = append(b, name...)
	b = append(b, "\ndata: "...)
	b = append(b, line...)
	return append(b, "\n\n"...)
}

// appendRetry appends how long the browser is to wait before it comes back. It is
// a field of the event that follows, or of none.
func appendRetry(b []byte, wait time.Duration) []byte {
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, wait.Milliseconds(), 10)
	return append(b, '\n')
}

// oneLine is JSON without line ends, which can only stand between its tokens.
func oneLine(data []byte) []byte {
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 {
		return data
	}
	line := bytes.Clone(data)
	for i, c := range line {
		if c == '\n' || c == '\r' {
			line[i] = ' '
		}
	}
	return line
}
