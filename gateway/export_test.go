package gateway

import (
	"net"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
)

// Encode makes the frame of a message for a browser that reads headers.
func Encode(m *fanout.Message, sid string) []byte { return encodeMessage(m, sid, variantHeaders) }

// Receivers are subscriptions that write to the connections, each to its own.
func Receivers(conns []net.Conn) []fanout.Receiver {
	all := make([]fanout.Receiver, len(conns))
	for i, conn := range conns {
		s := &socket{conn: conn, variant: variantHeaders}
		s.out = newOutbox(conn, 1<<20, time.Minute, func() {})
		all[i] = &localSub{socket: s}
	}
	return all
}
