package gateway

import (
	"net"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
)

// Encode makes the frame of a message for a browser that reads headers.
func Encode(m *fanout.Message, sid string) []byte { return encodeMessage(m, sid, variantHeaders) }

// Receivers are subscriptions that write to the connections, each to its own.
func Receivers(conns []net.Conn, sid func(i int) string) []fanout.Receiver {
	all := make([]fanout.Receiver, len(conns))
	for i, conn := range conns {
		s := &socket{conn: conn, variant: variantHeaders}
		s.out = newOutbox(conn, 1<<20, time.Minute, func() {})
		all[i] = newLocalSub(s, "status.c1.engine", "", sid(i))
	}
	return all
}

// Outbox writes to one connection.
type Outbox struct{ out *outbox }

// NewOutbox makes an outbox; stall is how long one write of its queue may take.
func NewOutbox(conn net.Conn, maxBytes int, stall time.Duration) Outbox {
	return Outbox{newOutbox(conn, maxBytes, stall, func() {})}
}

// Frame writes or queues a frame.
func (o Outbox) Frame(b []byte) { o.out.frame(b) }

// Backlog is how many bytes wait.
func (o Outbox) Backlog() int { return o.out.backlog() }
