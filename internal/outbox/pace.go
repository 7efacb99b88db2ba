package outbox

import (
	"context"
	"errors"
	"net"
	"time"
)

// pace keeps replays from filling a queue faster than it is read. An
// outbox has none until somebody replays. Guarded by Outbox.mu, except turn.
type pace struct {
	turn  chan struct{} // holds a value while one waits for room; others wait for that
	kept  map[any]room  // for whom room is kept
	eased chan struct{} // closed when there may be room; nil when nobody waits
}

// room is kept for a batch until it must have come.
type room struct {
	bytes int
	until time.Time
}

// roomTime is how long room is kept.
const roomTime = 50 * time.Millisecond

// Ready returns once who may send its next batch of old messages, of about so many
// bytes: when the queue is at most a quarter full, counting the batches that others
// were let send and that have not come yet. Otherwise several replays would all see
// the same room. It fails when the socket is gone or the context ends. Whoever asks
// again has sent its last batch.
func (o *Outbox) Ready(ctx context.Context, who any, bytes int) error {
	p := o.paceFor(who)
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	for {
		eased, wait, err := o.keep(who, bytes)
		if err != nil || eased == nil {
			return err
		}
		again := time.NewTimer(wait)
		select {
		case <-eased:
		case <-again.C:
		case <-o.finished:
		case <-ctx.Done():
		}
		again.Stop()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// paceFor returns the outbox's pace; who has sent what it was let send.
func (o *Outbox) paceFor(who any) *pace {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.paceLocked()
	o.settleLocked(who)
	return p
}

func (o *Outbox) paceLocked() *pace {
	if o.pace == nil {
		o.pace = &pace{turn: make(chan struct{}, 1), kept: map[any]room{}}
	}
	return o.pace
}

// Settle gives back the room that was kept for who.
func (o *Outbox) Settle(who any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pace != nil {
		o.settleLocked(who)
	}
}

func (o *Outbox) settleLocked(who any) {
	delete(o.pace.kept, who)
	o.easedLocked()
}

// keep keeps room for a batch of who, or returns a channel that closes when there
// may be room, and after which time to look in any case.
func (o *Outbox) keep(who any, bytes int) (<-chan struct{}, time.Duration, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, 0, net.ErrClosed
	}
	now := time.Now()
	wait, used := o.bounds.Stall, o.queued
	for other, r := range o.pace.kept {
		if left := r.until.Sub(now); left > 0 {
			wait, used = min(wait, left), used+r.bytes
		} else {
			delete(o.pace.kept, other)
		}
	}
	if used <= o.bounds.MaxBytes/4 {
		o.pace.kept[who] = room{bytes, now.Add(roomTime)}
		return nil, 0, nil
	}
	return o.easedChanLocked(), wait, nil
}

// Drained returns when the queue is empty, when nothing of it will be written any
// more, or when the context ends.
func (o *Outbox) Drained(ctx context.Context) {
	for eased := o.waits(); eased != nil; eased = o.waits() {
		select {
		case <-eased:
		case <-ctx.Done():
			return
		}
	}
}

// waits returns a channel that closes when something of the queue was written; nil
// when nothing is to be.
func (o *Outbox) waits() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queued == 0 || o.closed {
		return nil
	}
	return o.easedChanLocked()
}

// easedChanLocked closes with easedLocked; mu is held.
func (o *Outbox) easedChanLocked() <-chan struct{} {
	p := o.paceLocked()
	if p.eased == nil {
		p.eased = make(chan struct{})
	}
	return p.eased
}

// easedLocked wakes who waits for room; mu is held.
func (o *Outbox) easedLocked() {
	if o.pace != nil && o.pace.eased != nil {
		close(o.pace.eased)
		o.pace.eased = nil
	}
}

// HasRoom is true when Ready would return at once.
func (o *Outbox) HasRoom() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.closed && o.queued <= o.bounds.MaxBytes/4
}

// ReadyOrGone is Ready for who ends with the connection, and has nobody to tell why:
// when that is gone, it waits for its context.
func (o *Outbox) ReadyOrGone(ctx context.Context, who any, bytes int) error {
	err := o.Ready(ctx, who, bytes)
	if errors.Is(err, net.ErrClosed) {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}
