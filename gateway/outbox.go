package gateway

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/internal/session"
)

// outbox writes to one browser. A frame goes straight to the socket if the
// kernel takes it at once; what it does not take waits in a bounded queue, and
// a goroutine writes for as long as there is something in it. Nobody who
// delivers ever waits. Safe for concurrent use.
type outbox struct {
	// What a direct write needs stands together: with many sockets none of it is
	// in the processor's cache.
	raw     syscall.RawConn // nil: not a socket of the kernel's, everything goes through the queue
	mu      sync.Mutex      // guards all up to finished, and the counters of each localSub
	writing bool            // a goroutine writes the queue
	closed  bool            // nothing is taken any more
	fresh   bool            // something was delivered that no receipt was asked for

	// filter is the browser's grant if that denies a part of what it allows, else nil.
	filter atomic.Pointer[session.Grant]

	// Arguments and results of the one direct write at a time, so that it needs
	// no allocation.
	try func(fd uintptr)
	buf []byte
	n   int
	err error

	queue    net.Buffers
	queued   int           // bytes in the queue and in the hands of that goroutine
	held     bool          // nothing is written yet, see hold
	sealed   bool          // nothing of the queue will be
	finished chan struct{} // closed when all is written, or nothing can be any more

	conn     net.Conn
	maxBytes int
	stall    time.Duration // longest time that one write of the queue may take
	overflow func()        // called once when the queue would exceed maxBytes

	pace *pace // nil until somebody replays; guarded by mu
}

func newOutbox(conn net.Conn, maxBytes int, stall time.Duration, overflow func()) *outbox {
	o := &outbox{conn: conn, maxBytes: maxBytes, stall: stall, overflow: overflow, finished: make(chan struct{})}
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			o.raw = raw
		}
	}
	o.try = func(fd uintptr) { o.n, o.err = sendNow(fd, o.buf) }
	return o
}

// hold has everything wait in the queue until begin, or close. Before anything
// is written.
func (o *outbox) hold() { o.writing, o.held = true, true }

// begin writes first, and then what waits. It is false when that is not to be.
func (o *outbox) begin(first []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.held || o.sealed || o.closed {
		return false
	}
	o.held = false
	o.queue = append(net.Buffers{first}, o.queue...)
	o.queued += len(first)
	go o.drain() // ends when the queue is empty or the socket fails
	return true
}

// seal is true once begin was; if it was not yet, it will not be, and close
// writes nothing but its own last bytes.
func (o *outbox) seal() (begun bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sealed = true
	return !o.held
}

// frame writes one whole WebSocket frame. The bytes may be kept, and must not
// change afterwards.
func (o *outbox) frame(b []byte) {
	o.mu.Lock()
	full := o.writeLocked(b)
	o.mu.Unlock()
	if full {
		o.overflow()
	}
}

// deliver writes a message frame for the subscription, unless that has ended.
// It is true when the subscription has now got its last message. What may be shed
// is left out while the queue is more than half full.
func (o *outbox) deliver(sub *localSub, b []byte, low bool) (last bool) {
	o.mu.Lock()
	if sub.ended {
		o.mu.Unlock()
		return false
	}
	if low && o.crowdedLocked() {
		o.mu.Unlock()
		sub.socket.gateway.shed.Add(1)
		return false
	}
	o.fresh = true
	last, full := o.deliverLocked(sub, b)
	o.mu.Unlock()
	if full {
		o.overflow()
	}
	return last
}

// offer is deliver for a member of a queue group: what it cannot take now, or not
// any more, another one may.
func (o *outbox) offer(sub *localSub, b []byte, low bool) (taken, last bool) {
	o.mu.Lock()
	if sub.ended || o.closed || low && o.crowdedLocked() {
		o.mu.Unlock()
		return false, false
	}
	last, full := o.deliverLocked(sub, b)
	o.mu.Unlock()
	if full {
		o.overflow()
	}
	return true, last
}

// deliverLocked writes a message frame for the subscription and counts it; mu is
// held. full is as of writeLocked.
func (o *outbox) deliverLocked(sub *localSub, b []byte) (last, full bool) {
	sub.delivered++
	last = sub.max > 0 && sub.delivered >= sub.max
	sub.ended = last
	return last, o.writeLocked(b)
}

// deliverRun writes n message frames at once for the subscription, unless that has
// ended. It is false, and nothing is written, when they have to be counted one by one.
func (o *outbox) deliverRun(sub *localSub, n int, b []byte) bool {
	o.mu.Lock()
	ended, counted := sub.ended, sub.max > 0 || o.crowdedLocked()
	if ended || counted {
		o.mu.Unlock()
		return ended
	}
	o.fresh = true
	sub.delivered += n
	full := o.writeLocked(b)
	o.mu.Unlock()
	if full {
		o.overflow()
	}
	return true
}

// crowdedLocked is true while so much waits that low priority is left out; mu is
// held.
func (o *outbox) crowdedLocked() bool { return o.queued > o.maxBytes/2 }

// end marks the subscription as ended: after it returns, no message for it is written.
func (o *outbox) end(sub *localSub) {
	o.mu.Lock()
	sub.ended = true
	o.mu.Unlock()
}

// limit sets how many messages in all the subscription may get. It is true when
// it has had them already.
func (o *outbox) limit(sub *localSub, most int) (reached bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sub.max = most
	return sub.delivered >= most
}

// writeLocked is true when the queue would exceed its bound: then nothing more
// is taken. mu is held.
func (o *outbox) writeLocked(b []byte) (full bool) {
	if o.closed {
		return false
	}
	if !o.writing && o.raw != nil {
		b = o.writeDirectLocked(b)
		if len(b) == 0 {
			return false
		}
	}
	if o.queued+len(b) > o.maxBytes {
		o.closed = true
		return true
	}
	o.queue = append(o.queue, b)
	o.queued += len(b)
	if !o.writing {
		o.writing = true
		go o.drain() // ends when the queue is empty or the socket fails
	}
	return false
}

// writeDirectLocked gives the kernel what it takes at once and returns the rest.
func (o *outbox) writeDirectLocked(b []byte) []byte {
	o.buf = b
	// Control holds the descriptor, as Write does, and costs less: nothing here
	// waits for the socket, and mu keeps other writers off.
	err := o.raw.Control(o.try)
	o.buf = nil
	switch {
	case err != nil: // the socket is closed
	case o.err == nil:
		return b[o.n:]
	case o.err == syscall.EAGAIN || o.err == syscall.EINTR:
		return b
	}
	// Its reader will see that, unless the browser's side has ended before.
	o.closed = true
	o.finishLocked()
	return nil
}

// drain writes the queue until it is empty.
func (o *outbox) drain() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 {
			o.writing = false
			o.queue = nil
			o.finishLocked()
			o.mu.Unlock()
			return
		}
		batch := o.queue
		o.queue = nil
		o.mu.Unlock()

		size := 0
		for _, b := range batch {
			size += len(b)
		}
		_ = o.conn.SetWriteDeadline(time.Now().Add(o.stall))
		_, err := batch.WriteTo(o.conn)

		o.mu.Lock()
		o.queued -= size
		o.easedLocked()
		if err != nil {
			o.closed, o.writing, o.queue = true, false, nil
			o.finishLocked()
			o.mu.Unlock()
			_ = o.conn.Close() // the reader wakes up and ends the socket
			return
		}
		o.mu.Unlock()
	}
}

func (o *outbox) finishLocked() {
	if o.closed {
		select {
		case <-o.finished:
		default:
			close(o.finished)
		}
	}
}

// close takes a last frame, which may be empty, and nothing after it. The
// channel closes when all is written, or cannot be.
func (o *outbox) close(last []byte) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held {
		o.held, o.writing, o.queue, o.queued = false, false, nil, 0
	}
	if !o.closed {
		if len(last) > 0 {
			o.writeLocked(last)
		}
		o.closed = true
	}
	if !o.writing {
		o.finishLocked()
	}
	return o.finished
}

// counts returns how many messages the subscription got, and its limit.
func (o *outbox) counts(sub *localSub) (delivered, most int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return sub.delivered, sub.max
}

// takeFresh is true when something was delivered since the last time.
func (o *outbox) takeFresh() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	fresh := o.fresh
	o.fresh = false
	return fresh
}

// isFresh is true when something was delivered since takeFresh.
func (o *outbox) isFresh() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fresh
}

// setFresh undoes takeFresh.
func (o *outbox) setFresh() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fresh = true
}

// backlog is how many bytes wait for the browser.
func (o *outbox) backlog() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued
}

// appendFrame appends a server's WebSocket frame (RFC 6455, section 5.2):
// final, not masked.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = appendFrameHeader(dst, op, len(payload))
	return append(dst, payload...)
}

// maxFrameHeaderBytes is the longest header of a frame that is not masked.
const maxFrameHeaderBytes = 10

func appendFrameHeader(dst []byte, op ws.OpCode, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length <= 0xffff:
		return append(dst, 126, byte(length>>8), byte(length))
	}
	n := uint64(length)
	return append(dst, 127, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
