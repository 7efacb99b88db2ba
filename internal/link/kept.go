package link

import (
	"bytes"
	"sync/atomic"

	"github.com/statuswire/statuswire/internal/natsproto"
)

// Kept is a link that lives on after its verdict.
type Kept struct {
	link   *link
	links  *Links
	closed atomic.Bool // by Close
	gone   atomic.Bool // counted out
}

// End is how a kept link has ended.
type End struct {
	// Ours is true when Close has ended it.
	Ours bool
	// Last is the server's last word, its -ERR; "" if it had none.
	Last string
	// ServerRuns is true when the server that the link led to is there still.
	ServerRuns bool
}

// Serve answers the server's pings until the link ends.
func (k *Kept) Serve() End {
	defer k.leave()
	last := k.serve()
	return End{Ours: k.closed.Load(), Last: last, ServerRuns: k.link.server == k.links.engine.ServerID()}
}

func (k *Kept) serve() (last string) {
	for {
		line, err := k.link.readLine()
		isErr := bytes.HasPrefix(line, []byte("-ERR"))
		if err != nil || isErr {
			_ = k.link.conn.Close()
			if isErr {
				return string(line)
			}
			return ""
		}
		if bytes.HasPrefix(line, []byte("PING")) {
			if _, err := k.link.conn.Write([]byte(natsproto.PongLine)); err != nil {
				return ""
			}
		}
	}
}

// Close ends the link. Closing twice is fine.
func (k *Kept) Close() {
	k.closed.Store(true)
	_ = k.link.conn.Close()
	k.leave()
}

// leave counts the link out, once.
func (k *Kept) leave() {
	if k.gone.CompareAndSwap(false, true) {
		k.links.kept.Add(-1)
	}
}
