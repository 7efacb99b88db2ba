package bucket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/statuswire/statuswire/status"
)

const (
	firstRetry     = 50 * time.Millisecond
	longestRetry   = 2 * time.Second
	pullMessages   = 1024
	pullExpiry     = 30 * time.Second
	consumerLinger = time.Minute // the server forgets a consumer that nobody reads
	openTimeout    = 2 * time.Second
	deleteTimeout  = time.Second
)

// Why a watch counts as broken.
var (
	errReconnected = errors.New("the connection was lost and is back")
	errGap         = errors.New("the consumer skipped a message")
	errBehind      = errors.New("a write was stored but not seen")
)

// watch is one consumer on the bucket's stream. It is read by one goroutine.
type watch struct {
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
	read     uint64 // consumer sequence of the last message
	pending  uint64 // messages that were still to come after it
	stored   uint64 // last revision of the stream before the consumer was made

	reconnects uint64 // that the connection had had before
}

// openWatch makes a consumer that starts with the last message of each key.
func (b *Bucket[T]) openWatch(ctx context.Context) (*watch, error) {
	b.mu.Lock()
	b.missed = nil
	b.mu.Unlock()
	reconnects := b.nc.Stats().Reconnects
	// While a cluster elects, requests are not answered at all: give up soon.
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	// The state first: what is stored by now the consumer will deliver.
	stream, err := b.js.Stream(ctx, b.stream)
	if err != nil {
		return nil, fmt.Errorf("look up bucket %q: %w", b.name, err)
	}
	consumer, err := b.js.CreateConsumer(ctx, b.stream, jetstream.ConsumerConfig{
		Description:       "view of " + b.nc.Opts.Name,
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubject:     b.prefix + ">",
		InactiveThreshold: consumerLinger,
		MemoryStorage:     true,
		Replicas:          1,
	})
	if err != nil {
		return nil, fmt.Errorf("watch bucket %q: %w", b.name, err)
	}
	messages, err := consumer.Messages(
		jetstream.PullMaxMessages(pullMessages),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(b.opts.Heartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true),
	)
	if err != nil {
		return nil, fmt.Errorf("watch bucket %q: %w", b.name, err)
	}
	return &watch{
		consumer: consumer, messages: messages,
		pending: consumer.CachedInfo().NumPending,
		stored:  stream.CachedInfo().State.LastSeq,

		reconnects: reconnects,
	}, nil
}

// close ends the consumer here and, as far as that works, on the server.
func (b *Bucket[T]) closeWatch(w *watch) {
	w.messages.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), deleteTimeout)
	defer cancel()
	if err := b.js.DeleteConsumer(ctx, b.stream, w.consumer.CachedInfo().Name); err != nil {
		b.opts.Logger.Debug("bucket: consumer is left to expire", "error", err)
	}
}

// next reads one message. The entry is nil when the key is none of this bucket.
func (b *Bucket[T]) next(ctx context.Context, w *watch) (key string, e *Entry[T], revision uint64, err error) {
	m, err := w.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return "", nil, 0, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return "", nil, 0, err
	}
	if meta.Sequence.Consumer != w.read+1 {
		return "", nil, 0, errGap
	}
	w.read, w.pending = meta.Sequence.Consumer, meta.NumPending
	revision = meta.Sequence.Stream
	key = strings.TrimPrefix(m.Subject(), b.prefix)
	e, err = b.values.entry(key, m.Headers(), m.Data(), revision)
	if err != nil {
		b.opts.Logger.Error("bucket: an entry cannot be read and counts as unknown",
			"bucket", b.name, "key", status.Quote(key), "revision", revision, "error", err)
	}
	return key, e, revision, nil
}

// load opens a watch and reads the whole bucket into a new table.
func (b *Bucket[T]) load(ctx context.Context) (*watch, *table[T], error) {
	w, err := b.openWatch(ctx)
	if err != nil {
		return nil, nil, err
	}
	t := b.view.newTable()
	for w.pending > 0 {
		key, e, revision, err := b.next(ctx, w)
		if err != nil {
			b.closeWatch(w)
			return nil, nil, fmt.Errorf("load bucket %q: %w", b.name, err)
		}
		if e != nil {
			t.set(key, e)
		}
		t.revision = max(t.revision, revision)
	}
	t.revision = max(t.revision, w.stored)
	return w, t, nil
}

// loadUntil tries to load until it works, ctx ends, or trying is no use.
func (b *Bucket[T]) loadUntil(ctx context.Context) (*watch, *table[T], error) {
	for pause := firstRetry; ; pause = min(2*pause, longestRetry) {
		w, t, err := b.load(ctx)
		if err == nil || ctx.Err() != nil || b.nc.IsClosed() {
			return w, t, err
		}
		b.opts.Logger.Warn("bucket: bucket cannot be loaded, trying again", "bucket", b.name, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, nil, err
		}
	}
}

// run keeps the view up to date until ctx ends.
func (b *Bucket[T]) run(ctx context.Context, w *watch) {
	for {
		err := b.follow(ctx, w)
		b.closeWatch(w)
		if ctx.Err() != nil {
			return
		}
		b.setBroken(err)
		b.opts.Logger.Warn("bucket: watch broke, loading the bucket again", "bucket", b.name, "error", err)
		var t *table[T]
		if w, t, err = b.loadOrRescue(ctx); err != nil {
			return // ctx has ended or the connection is closed for good
		}
		changed := b.view.replace(t)
		b.setLoaded(w)
		b.opts.Logger.Info("bucket: watch is back", "bucket", b.name, "entries", b.view.live(), "changed", len(changed))
		b.notify.announce(changed...)
	}
}

// follow takes messages into the view until the watch breaks; it returns why.
func (b *Bucket[T]) follow(parent context.Context, w *watch) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	if reason := b.setResync(cancel); reason != nil {
		return reason
	}
	defer b.setResync(nil)
	for {
		key, e, revision, err := b.next(ctx, w)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case e == nil:
			b.view.skip(revision)
		default:
			b.view.set(key, e)
			b.notify.announce(key)
		}
	}
}

// setResync sets what breaks the watch, and returns the reason when it was to be
// broken since it was opened.
func (b *Bucket[T]) setResync(cancel context.CancelCauseFunc) (missed error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resync = cancel
	return b.missed
}

// breakWatch makes follow give up, so that the bucket is loaded again.
func (b *Bucket[T]) breakWatch(reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.resync != nil {
		b.resync(reason)
		return
	}
	b.missed = reason
}

// watchConnection breaks the watch when the connection was lost: messages that
// were on the way are lost with it, and no later one needs to tell.
func (b *Bucket[T]) watchConnection(ctx context.Context, changes chan nats.Status) {
	defer b.nc.RemoveStatusListener(changes)
	for {
		select {
		case _, ok := <-changes:
			if !ok {
				return
			}
			b.breakWatch(errReconnected)
		case <-ctx.Done():
			return
		}
	}
}
