package fanout

import (
	"context"

	"github.com/nats-io/nats.go"
)

// Settle returns when s has been handed all that the stream had republished on
// its subject before the call: also what a hole makes wait, and what is held for a
// subscription that catches up. What a publisher has been acknowledged was
// republished before: nats-server 2.15.2 queues the message in front of the
// acknowledgement, in one queue (stream.go:7486 and 7517). That holds on the server
// which leads the stream; between servers the acknowledgement may come by a shorter
// way. An error means that it is not known: ctx ended, or ReplayTimeout has passed,
// or the connection is away.
func (f *Fanout) Settle(ctx context.Context, s *Subscription) error {
	if err := f.barrier(ctx, s.topic); err != nil {
		return err
	}
	c := s.catchUp.Load()
	if c == nil {
		return nil
	}
	select {
	case <-c.ctx.Done(): // it follows the topic, or has ended
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// barrier returns when all that had come from the stream for the topic before the
// call was handed over.
func (f *Fanout) barrier(ctx context.Context, t *topic) error {
	// The server has one queue for what it sends to us: behind the answer to the
	// PING nothing is under way any more.
	ctx, cancel := context.WithTimeout(ctx, f.opts.ReplayTimeout) // a flush wants a deadline
	defer cancel()
	if err := f.Flush(ctx); err != nil {
		return err
	}
	done := make(chan struct{})
	mark := &nats.Msg{Sub: t.upstream} // from the server, every message has a subject
	f.marks.Store(mark, waiterOf{t, done})
	defer f.marks.Delete(mark)
	select {
	case t.shard <- mark:
	case <-ctx.Done():
		return ctx.Err()
	case <-f.ctx.Done():
		return ErrStopped
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-f.ctx.Done():
		return ErrStopped
	}
}

// waiterOf is who waits for a mark.
type waiterOf struct {
	topic *topic
	done  chan struct{}
}

// passMark tells who waits for the mark that it has come through the shard: now, or
// when the topic is mended.
func (f *Fanout) passMark(mark *nats.Msg) {
	v, ok := f.marks.LoadAndDelete(mark)
	if !ok {
		return // nobody waits for it any more
	}
	w := v.(waiterOf)
	w.topic.order.Lock()
	defer w.topic.order.Unlock()
	if w.topic.mending {
		w.topic.waiting = append(w.topic.waiting, waiter{done: w.done})
		return
	}
	close(w.done)
}
