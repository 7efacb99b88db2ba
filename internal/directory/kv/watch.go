package kv

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
}

// openWatch makes a consumer that starts with the last message of each key.
func (d *Directory) openWatch(ctx context.Context) (*watch, error) {
	d.mu.Lock()
	d.missed = nil
	d.mu.Unlock()
	// While a cluster elects, requests are not answered at all: give up soon.
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	// The state first: what is stored by now the consumer will deliver.
	stream, err := d.js.Stream(ctx, d.stream)
	if err != nil {
		return nil, fmt.Errorf("look up bucket %q: %w", d.opts.Bucket, err)
	}
	consumer, err := d.js.CreateConsumer(ctx, d.stream, jetstream.ConsumerConfig{
		Description:       "directory view of " + d.nc.Opts.Name,
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubject:     d.prefix + ">",
		InactiveThreshold: consumerLinger,
		MemoryStorage:     true,
		Replicas:          1,
	})
	if err != nil {
		return nil, fmt.Errorf("watch bucket %q: %w", d.opts.Bucket, err)
	}
	messages, err := consumer.Messages(
		jetstream.PullMaxMessages(pullMessages),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(d.opts.Heartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true),
	)
	if err != nil {
		return nil, fmt.Errorf("watch bucket %q: %w", d.opts.Bucket, err)
	}
	return &watch{
		consumer: consumer, messages: messages,
		pending: consumer.CachedInfo().NumPending,
		stored:  stream.CachedInfo().State.LastSeq,
	}, nil
}

// close ends the consumer here and, as far as that works, on the server.
func (d *Directory) closeWatch(w *watch) {
	w.messages.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), deleteTimeout)
	defer cancel()
	if err := d.js.DeleteConsumer(ctx, d.stream, w.consumer.CachedInfo().Name); err != nil {
		d.opts.Logger.Debug("directory: consumer is left to expire", "error", err)
	}
}

// next reads one message. The id is empty when the key is no conversation id.
func (d *Directory) next(ctx context.Context, w *watch) (id status.ConversationID, e *entry, revision uint64, err error) {
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
	key := strings.TrimPrefix(m.Subject(), d.prefix)
	id, e, err = decode(key, m.Headers(), m.Data(), revision)
	if err != nil {
		d.opts.Logger.Error("directory: entry cannot be read, the conversation counts as unknown",
			"bucket", d.opts.Bucket, "key", status.Quote(key), "revision", revision, "error", err)
	}
	return id, e, revision, nil
}

// load opens a watch and reads the whole bucket into a new table.
func (d *Directory) load(ctx context.Context) (*watch, *table, error) {
	w, err := d.openWatch(ctx)
	if err != nil {
		return nil, nil, err
	}
	t := newTable()
	for w.pending > 0 {
		id, e, revision, err := d.next(ctx, w)
		if err != nil {
			d.closeWatch(w)
			return nil, nil, fmt.Errorf("load bucket %q: %w", d.opts.Bucket, err)
		}
		if id != "" {
			t.set(id, e)
		}
		t.revision = max(t.revision, revision)
	}
	t.revision = max(t.revision, w.stored)
	return w, t, nil
}

// loadUntil tries to load until it works, ctx ends, or trying is no use.
func (d *Directory) loadUntil(ctx context.Context) (*watch, *table, error) {
	for pause := firstRetry; ; pause = min(2*pause, longestRetry) {
		w, t, err := d.load(ctx)
		if err == nil || ctx.Err() != nil || d.nc.IsClosed() {
			return w, t, err
		}
		d.opts.Logger.Warn("directory: bucket cannot be loaded, trying again", "bucket", d.opts.Bucket, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, nil, err
		}
	}
}

// run keeps the view up to date until ctx ends.
func (d *Directory) run(ctx context.Context, w *watch) {
	for {
		err := d.follow(ctx, w)
		d.closeWatch(w)
		if ctx.Err() != nil {
			return
		}
		d.setBroken(err)
		d.opts.Logger.Warn("directory: watch broke, loading the bucket again", "bucket", d.opts.Bucket, "error", err)
		var t *table
		if w, t, err = d.loadUntil(ctx); err != nil {
			return // ctx has ended or the connection is closed for good
		}
		changed := d.view.replace(t)
		d.setBroken(nil)
		d.opts.Logger.Info("directory: watch is back", "bucket", d.opts.Bucket, "conversations", d.view.live(), "changed", len(changed))
		d.notify.announce(changed...)
	}
}

// follow takes messages into the view until the watch breaks; it returns why.
func (d *Directory) follow(parent context.Context, w *watch) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	if reason := d.setResync(cancel); reason != nil {
		return reason
	}
	defer d.setResync(nil)
	for {
		id, e, revision, err := d.next(ctx, w)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case id == "":
			d.view.skip(revision)
		default:
			d.view.set(id, e)
			d.notify.announce(id)
		}
	}
}

// setResync sets what breaks the watch, and returns the reason when it was to be
// broken since it was opened.
func (d *Directory) setResync(cancel context.CancelCauseFunc) (missed error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resync = cancel
	return d.missed
}

// breakWatch makes follow give up, so that the bucket is loaded again.
func (d *Directory) breakWatch(reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.resync != nil {
		d.resync(reason)
		return
	}
	d.missed = reason
}

// watchConnection breaks the watch when the connection was lost: messages that
// were on the way are lost with it, and no later one needs to tell.
func (d *Directory) watchConnection(ctx context.Context, changes chan nats.Status) {
	defer d.nc.RemoveStatusListener(changes)
	for {
		select {
		case _, ok := <-changes:
			if !ok {
				return
			}
			d.breakWatch(errReconnected)
		case <-ctx.Done():
			return
		}
	}
}
