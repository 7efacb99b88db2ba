package gateway

import (
	"context"
	"net"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/session"
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

// LimitTo sets how many messages in all one of Receivers may get.
func LimitTo(r fanout.Receiver, most int) {
	sub := r.(*localSub)
	sub.out.limit(sub, most)
}

// BacklogOf is how many bytes wait for one of Receivers.
func BacklogOf(r fanout.Receiver) int { return r.(*localSub).out.backlog() }

// FilterBy has one of Receivers get only what the grant lets it receive.
func FilterBy(r fanout.Receiver, g *session.Grant) { r.(*localSub).out.filter.Store(g) }

// Ready waits until who may send a batch of an answer.
func (o Outbox) Ready(ctx context.Context, who any) error { return o.out.ready(ctx, who, answerBytes) }

// Settle gives back the room kept for who.
func (o Outbox) Settle(who any) { o.out.settle(who) }
