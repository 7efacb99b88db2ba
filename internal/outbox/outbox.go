package outbox

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// Outbox writes to one connection. What is written goes straight to the socket if the
// kernel takes it at once; what it does not take waits in a bounded queue, and
// a goroutine writes for as long as there is something in it. Nobody who
// delivers ever waits. Safe for concurrent use.
type Outbox struct {
	// What a direct write needs stands together: with many sockets none of it is
	// in the processor's cache.
	raw     syscall.RawConn // nil: not a socket of the kernel's, everything goes through the queue
	mu      sync.Mutex      // guards all up to finished, and each Tally
	writing bool            // a goroutine writes the queue
	closed  bool            // nothing is taken any more
	fresh   bool            // something was delivered that no receipt was asked for

	// Arguments and results of the one direct write at a time, so that it needs
	// no allocation.
	try func(fd uintptr)
	buf []byte
	n   int
	err error

	queue    net.Buffers
	queued   int           // bytes in the queue and in the hands of that goroutine
	held     bool          // nothing is written yet, see Hold
	sealed   bool          // nothing of the queue will be
	finished chan struct{} // closed when all is written, or nothing can be any more

	conn   net.Conn
	bounds Bounds
	owner  Owner

	pace *pace // nil until somebody replays; guarded by mu
}

// Bounds are those of one outbox.
type Bounds struct {
	MaxBytes int           // of what waits
	Stall    time.Duration // the longest time that one write of the queue may take
}

// Owner is whose outbox it is. What it is told by must not block.
type Owner interface {
	// Overflow is called once, when what waits would exceed its bound: nothing more
	// is taken from then on.
	Overflow()
	// Shed is called for each message of low priority that is left out.
	Shed()
}

// Tally counts the messages of one subscription, and ends them. It belongs to one
// outbox, whose lock guards it. The zero value has no maximum.
type Tally struct {
	most      int  // 0: none
	delivered int  // messages written
	ended     bool // none is written any more
}

// Init makes the zero value ready. It must not be copied afterwards.
func (o *Outbox) Init(conn net.Conn, bounds Bounds, owner Owner) {
	o.conn, o.bounds, o.owner, o.finished = conn, bounds, owner, make(chan struct{})
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			o.raw = raw
		}
	}
	o.try = func(fd uintptr) { o.n, o.err = sendNow(fd, o.buf) }
}

// Hold has everything wait in the queue until Begin, or Close. Before anything
// is written.
func (o *Outbox) Hold() { o.writing, o.held = true, true }

// Begin writes first, and then what waits. It is false when that is not to be.
func (o *Outbox) Begin(first []byte) bool {
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

// Seal is true once Begin was; if it was not yet, it will not be, and Close
// writes nothing but its own last bytes.
func (o *Outbox) Seal() (begun bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sealed = true
	return !o.held
}

// Put takes what stands whole by itself. The bytes may be kept, and must not change
// afterwards.
func (o *Outbox) Put(b []byte) {
	o.mu.Lock()
	full := o.writeLocked(b)
	o.mu.Unlock()
	if full {
		o.owner.Overflow()
	}
}

// Deliver writes a message for the subscription, unless that has ended.
// It is true when the subscription has now got its last message. What may be shed
// is left out while the queue is more than half full.
func (o *Outbox) Deliver(t *Tally, b []byte, low bool) (last bool) {
	o.mu.Lock()
	if t.ended {
		o.mu.Unlock()
		return false
	}
	if low && o.crowdedLocked() {
		o.mu.Unlock()
		o.owner.Shed()
		return false
	}
	o.fresh = true
	last, full := o.deliverLocked(t, b)
	o.mu.Unlock()
	if full {
		o.owner.Overflow()
	}
	return last
}

// Offer is Deliver for a member of a queue group: what it cannot take now, or not
// any more, another one may.
func (o *Outbox) Offer(t *Tally, b []byte, low bool) (taken, last bool) {
	o.mu.Lock()
	if t.ended || o.closed || low && o.crowdedLocked() {
		o.mu.Unlock()
		return false, false
	}
	last, full := o.deliverLocked(t, b)
	o.mu.Unlock()
	if full {
		o.owner.Overflow()
	}
	return true, last
}

// deliverLocked writes a message for the subscription and counts it; mu is
// held. full is as of writeLocked.
func (o *Outbox) deliverLocked(t *Tally, b []byte) (last, full bool) {
	t.delivered++
	last = t.most > 0 && t.delivered >= t.most
	t.ended = last
	return last, o.writeLocked(b)
}

// DeliverRun writes n messages at once for the subscription, unless that has
// ended. It is false, and nothing is written, when they have to be counted one by one.
func (o *Outbox) DeliverRun(t *Tally, n int, b []byte) bool {
	o.mu.Lock()
	ended, counted := t.ended, t.most > 0 || o.crowdedLocked()
	if ended || counted {
		o.mu.Unlock()
		return ended
	}
	o.fresh = true
	t.delivered += n
	full := o.writeLocked(b)
	o.mu.Unlock()
	if full {
		o.owner.Overflow()
	}
	return true
}

// crowdedLocked is true while so much waits that low priority is left out; mu is
// held.
func (o *Outbox) crowdedLocked() bool { return o.queued > o.bounds.MaxBytes/2 }

// End marks the subscription as ended: after it returns, no message for it is written.
func (o *Outbox) End(t *Tally) {
	o.mu.Lock()
	t.ended = true
	o.mu.Unlock()
}

// Limit sets how many messages in all the subscription may get. It is true when
// it has had them already.
func (o *Outbox) Limit(t *Tally, most int) (reached bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.most = most
	return t.delivered >= most
}

// writeLocked is true when the queue would exceed its bound: then nothing more
// is taken. mu is held.
func (o *Outbox) writeLocked(b []byte) (full bool) {
	if o.closed {
		return false
	}
	if !o.writing && o.raw != nil {
		b = o.writeDirectLocked(b)
		if len(b) == 0 {
			return false
		}
	}
	if o.queued+len(b) > o.bounds.MaxBytes {
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
func (o *Outbox) writeDirectLocked(b []byte) []byte {
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
	// Its reader will see that, unless the other side has ended before.
	o.closed = true
	o.finishLocked()
	return nil
}

// drain writes the queue until it is empty.
func (o *Outbox) drain() {
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
		_ = o.conn.SetWriteDeadline(time.Now().Add(o.bounds.Stall))
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

func (o *Outbox) finishLocked() {
	if o.closed {
		select {
		case <-o.finished:
		default:
			close(o.finished)
		}
	}
}

// Close takes the last bytes, of which there may be none, and nothing after them. The
// channel closes when all is written, or cannot be.
func (o *Outbox) Close(last []byte) <-chan struct{} {
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

// Counts returns how many messages the subscription got, and its limit.
func (o *Outbox) Counts(t *Tally) (delivered, most int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return t.delivered, t.most
}

// TakeFresh is true when something was delivered since the last time.
func (o *Outbox) TakeFresh() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	fresh := o.fresh
	o.fresh = false
	return fresh
}

// IsFresh is true when something was delivered since TakeFresh.
func (o *Outbox) IsFresh() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fresh
}

// SetFresh undoes TakeFresh.
func (o *Outbox) SetFresh() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fresh = true
}

// Backlog is how many bytes wait.
func (o *Outbox) Backlog() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued
}

// Finished closes when all is written, or nothing can be any more.
func (o *Outbox) Finished() <-chan struct{} { return o.finished }
