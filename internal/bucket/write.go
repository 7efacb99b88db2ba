package bucket

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/statuswire/statuswire/status"
)

const (
	// catchUp is how long after a conflict the view may take to show what was
	// in the way; then the write is tried again all the same.
	catchUp = 200 * time.Millisecond
	// ackTimeout is how long one attempt waits for the bucket's acknowledgement.
	ackTimeout = 2 * time.Second
	// duplicateInFlight is what a clustered stream answers while the first
	// message of an id is not yet stored (JSStreamDuplicateMessageConflict).
	duplicateInFlight = 10158
	// seen is how long the view may take to show our own write before the watch
	// counts as broken.
	seen = 2 * time.Second
)

// Decision is what a write makes of what it found.
type Decision[T any] struct {
	Write  bool // false: nothing is to be done
	Delete bool
	Next   T
}

// Edit decides on what the view shows, writes if nobody else was quicker, and
// returns Next when the view shows it. decide may be called more than once; its
// error is returned as it is, others wrap ErrConflict or ErrUnavailable.
func (b *Bucket[T]) Edit(ctx context.Context, key string, decide func(*Entry[T]) (Decision[T], error)) (T, error) {
	var none T
	if err := b.values.Key(key); err != nil { // a wildcard must never become part of a subject
		return none, err
	}
	if err := b.writable(); err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.WriteTimeout)
	defer cancel()
	unlock, err := b.locks.lock(ctx, key)
	if err != nil {
		return none, unavailable(err)
	}
	defer unlock()
	for attempt := range b.opts.MaxAttempts {
		e := b.view.get(key)
		what, err := decide(e)
		if err != nil {
			return none, err
		}
		if !what.Write {
			return what.Next, nil
		}
		msg, err := b.message(key, what, expected(e, attempt))
		if err != nil {
			return none, err
		}
		revision, err := b.store(ctx, msg)
		switch {
		case err == nil:
			return what.Next, b.shown(ctx, revision)
		case conflict(err):
			b.catchUp(ctx, key, e)
		default:
			return none, unavailable(err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return none, fmt.Errorf("%w: %q", ErrConflict, key)
}

// store publishes until the bucket acknowledges or refuses, or ctx ends. Sending
// again is safe: the stream remembers message ids for two minutes, before it
// looks at the expected revision, and answers a second one with the sequence of
// the first.
func (b *Bucket[T]) store(ctx context.Context, msg *nats.Msg) (revision uint64, err error) {
	msg.Header.Set(jetstream.MsgIDHeader, nuid.Next())
	for {
		attempt, cancel := context.WithTimeout(ctx, ackTimeout)
		ack, err := b.js.PublishMsg(attempt, msg)
		cancel()
		if err == nil {
			return ack.Sequence, nil
		}
		if ctx.Err() != nil || !passing(err) {
			return 0, err
		}
		if err := b.storable(); err != nil {
			return 0, err
		}
		select {
		case <-time.After(firstRetry):
		case <-ctx.Done():
			return 0, err
		}
	}
}

// passing tells whether a write may work in a moment: the stream has no leader,
// the leader has just gone, or the first attempt is still on its way.
func passing(err error) bool {
	for _, e := range []error{context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoStreamResponse, jetstream.ErrAsyncPublishTimeout} {
		if errors.Is(err, e) {
			return true
		}
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.Code == 503 || api.ErrorCode == duplicateInFlight)
}

// expected is the revision that a write is decided on. The marker of a deletion
// may have been cleared away, which no watch shows: every second attempt then
// takes the key as never written.
func expected[T any](e *Entry[T], attempt int) uint64 {
	if e.State == Absent && attempt%2 == 1 {
		return 0
	}
	return e.Revision
}

func (b *Bucket[T]) message(key string, what Decision[T], revision uint64) (*nats.Msg, error) {
	msg := &nats.Msg{Subject: b.prefix + key, Header: nats.Header{}}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	if what.Delete {
		msg.Header.Set(operationHeader, deleteOperation)
		return msg, nil
	}
	var err error
	msg.Data, err = b.values.Encode(what.Next)
	return msg, err
}

// catchUp waits for the view to show another revision than e's, for a moment.
func (b *Bucket[T]) catchUp(ctx context.Context, key string, e *Entry[T]) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	for b.view.get(key).Revision == e.Revision {
		if b.view.await(ctx, b.view.revision()+1) != nil {
			return
		}
	}
	// Those who were refused together must not come back together.
	select {
	case <-time.After(rand.N(5 * time.Millisecond)):
	case <-ctx.Done():
	}
}

// shown waits until the view shows a write that is stored. When that takes too
// long the watch must be broken in a way that it did not notice.
func (b *Bucket[T]) shown(ctx context.Context, revision uint64) error {
	soon, cancel := context.WithTimeout(ctx, seen)
	defer cancel()
	if b.view.await(soon, revision) == nil {
		return nil
	}
	if ctx.Err() == nil {
		b.breakWatch(errBehind)
	}
	if err := b.view.await(ctx, revision); err != nil {
		return fmt.Errorf("%w: the write is stored but not visible here yet: %w", ErrUnavailable, err)
	}
	return nil
}

func (b *Bucket[T]) writable() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop == nil || errors.Is(b.broken, errStopped) {
		return fmt.Errorf("%w: it is not running", ErrUnavailable)
	}
	if err := b.storable(); err != nil {
		return unavailable(err)
	}
	return nil
}

// storable is what who writes is told while the bucket cannot store: nothing would
// come of the write but a time-out.
func (b *Bucket[T]) storable() error {
	if err := b.opts.Storable(); err != nil {
		return status.ErrUnavailable.Withf("nothing can be changed at the moment: %v: try again", err)
	}
	return nil
}

// conflict: a clustered stream answers with a code of its own.
func conflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
