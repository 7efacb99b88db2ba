package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// A status as the bench publishes it: what a build or an agent says, with the
// time of sending (nanoseconds since the run began) and the message's number, of
// fixed width, at the end. Nothing is missing in it, so a server has nothing to
// fill in.
const (
	statusFormat = `{"category":"engine","text":"Processing the query, step 2 of 3","timestamp":"2024-01-19T12:00:00Z",` +
		`"metadata":{"step":2,"total_steps":3,"sent":"%016d","number":"%010d"}}`
	sentDigits   = 16
	numberDigits = 10
	between      = `","number":"`
	tail         = `"}}`
)

func appendStatus(dst []byte, sent time.Duration, number int) []byte {
	return fmt.Appendf(dst, statusFormat, int64(sent), number)
}

// parseStatus reads what appendStatus wrote.
func parseStatus(b []byte) (sent time.Duration, number int, err error) {
	const size = sentDigits + len(between) + numberDigits + len(tail)
	if len(b) < size || !bytes.HasSuffix(b, []byte(tail)) {
		return 0, 0, fmt.Errorf("not one of our statuses: %q", b)
	}
	b = b[len(b)-size:]
	n := digits(b[:sentDigits])
	m := digits(b[sentDigits+len(between) : size-len(tail)])
	if n < 0 || m < 0 {
		return 0, 0, fmt.Errorf("not one of our statuses: it ends in %q", b)
	}
	return time.Duration(n), int(m), nil
}

func digits(b []byte) (n int64) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// subjectOf names a subject: each has a conversation of its own.
func subjectOf(i int) string { return "status." + conversationOf(i) + ".engine" }

func conversationOf(i int) string { return "bench" + strconv.Itoa(i) }

// sidOf is what socket i calls its subscription. Clients count theirs from 1.
func sidOf(i int) string { return strconv.Itoa(1 + i%sids) }

const sids = 4

// sequences are the headers that a stored status has: number starts at 0, and
// the stream's sequence at 1.
func sequences(number, subjects int) (sequence, last string) {
	return strconv.Itoa(number + 1), strconv.Itoa(max(0, number+1-subjects))
}

// appendFrame appends what a browser gets of a status: a WebSocket frame with one
// HMSG. It is the same as the gateway's, by which the floor is held to the same bytes.
func appendFrame(dst []byte, subject, sid, sequence, last string, payload []byte) []byte {
	header := "NATS/1.0\r\nNats-Last-Sequence: " + last + "\r\nNats-Sequence: " + sequence + "\r\n\r\n"
	line := fmt.Sprintf("HMSG %s %s %d %d\r\n", subject, sid, len(header), len(header)+len(payload))
	n := len(line) + len(header) + len(payload) + len("\r\n")
	dst = append(dst, 0x82, 126, byte(n>>8), byte(n))
	dst = append(dst, line...)
	dst = append(dst, header...)
	dst = append(dst, payload...)
	return append(dst, "\r\n"...)
}
