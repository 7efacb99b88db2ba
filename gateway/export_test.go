package gateway

import (
	"net"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/outbox"
	"github.com/statuswire/statuswire/internal/session"
)

// Encode makes the frame of a message for a browser that reads headers.
func Encode(m *fanout.Message, sid string) []byte { return encodeMessage(m, sid, variantHeaders) }

// Receivers are subscriptions that write to the connections, each to its own.
func Receivers(conns []net.Conn, sid func(i int) string) []fanout.Receiver {
	all := make([]fanout.Receiver, len(conns))
	for i, conn := range conns {
		s := &socket{conn: conn, variant: variantHeaders}
		s.out.Init(conn, outbox.Bounds{MaxBytes: 1 << 20, Stall: time.Minute}, (*outboxOwner)(s))
		all[i] = newLocalSub(s, "status.c1.engine", "", sid(i))
	}
	return all
}

// LimitTo sets how many messages in all one of Receivers may get.
func LimitTo(r fanout.Receiver, most int) {
	sub := r.(*localSub)
	sub.socket.out.Limit(&sub.tally, most)
}

// BacklogOf is how many bytes wait for one of Receivers.
func BacklogOf(r fanout.Receiver) int { return r.(*localSub).socket.out.Backlog() }

// FilterBy has one of Receivers get only what the grant lets it receive.
func FilterBy(r fanout.Receiver, g *session.Grant) { r.(*localSub).socket.filter.Store(g) }
