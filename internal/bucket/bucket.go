package bucket

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is a key-value bucket in memory. Safe for concurrent use.
type Bucket[T any] struct {
	nc     *nats.Conn
	name   string
	values Values[T]
	opts   Options
	stream string // of the bucket
	prefix string // of the subjects of its keys
	js     jetstream.JetStream
	view   *view[T]
	notify *notifier
	locks  stripes

	mu      sync.Mutex // guards the fields below
	started bool
	stop    context.CancelFunc
	ended   sync.WaitGroup
	resync  context.CancelCauseFunc // breaks the watch that is being followed
	missed  error                   // why a watch is to be broken that is not followed yet
	broken  error                   // why the watch is broken, nil when it is not
	since   time.Time               // since when
	loaded  uint64                  // reconnects that the connection had had when the view was loaded
}

// New returns the bucket of that name, which must exist and which nc may read and
// write. It starts nothing. The connection stays the caller's. newIndex makes what
// is kept beside the entries; nil: nothing is.
func New[T any](nc *nats.Conn, name string, values Values[T], newIndex func() Index[T], opts Options) *Bucket[T] {
	opts = opts.withDefaults()
	return &Bucket[T]{
		nc: nc, name: name, values: values, opts: opts,
		stream: "KV_" + name,
		prefix: "$KV." + name + ".",
		view:   newView(values, newIndex),
		notify: newNotifier(),
		locks:  newStripes(),
		broken: errors.New("it is not started"),
		since:  time.Now(),
	}
}

// Start loads the bucket and returns when the view is whole. It tries for as
// long as ctx and LoadTimeout allow. A bucket is started once.
func (b *Bucket[T]) Start(ctx context.Context) error {
	if err := b.opts.Validate(); err != nil {
		return fmt.Errorf("bucket %s: options: %w", b.name, err)
	}
	b.mu.Lock()
	if b.started {
		b.mu.Unlock()
		return fmt.Errorf("bucket %s was started before: make a new one", b.name)
	}
	b.started = true
	b.mu.Unlock()

	js, err := jetstream.New(b.nc,
		jetstream.WithPublishAsyncMaxPending(2*b.opts.Window),
		jetstream.WithPublishAsyncTimeout(2*ackTimeout))
	if err != nil {
		return fmt.Errorf("bucket %s: %w", b.name, err)
	}
	b.js = js
	running, stop := context.WithCancel(context.Background())
	changes := b.nc.StatusChanged(nats.CONNECTED)
	b.ended.Go(func() { b.watchConnection(running, changes) }) // ends with running, as the two below

	loading, cancel := context.WithTimeout(ctx, b.opts.LoadTimeout)
	defer cancel()
	w, t, err := b.loadUntil(loading)
	if err != nil {
		stop()
		b.ended.Wait()
		return fmt.Errorf("bucket %s: %w", b.name, err)
	}
	b.view.replace(t)
	b.setLoaded(w)
	b.ended.Go(func() { b.run(running, w) })
	b.ended.Go(func() { b.notify.run(running) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop = stop
	return nil
}

// Stop ends the watch and the notices. It returns when every goroutine has
// ended, or with ctx's error before. Stopping twice or without Start is fine.
// Look-ups go on to answer from what was last known; Ready says so.
func (b *Bucket[T]) Stop(ctx context.Context) error {
	b.mu.Lock()
	stop := b.stop
	b.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	b.setBroken(errStopped)
	ended := make(chan struct{})
	go func() { // ends with the others
		b.ended.Wait()
		b.js.CleanupPublisher()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bucket %s: %w", b.name, ctx.Err())
	}
}

var errStopped = errors.New("it is stopped")

func (b *Bucket[T]) setBroken(reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(b.broken, errStopped) {
		return
	}
	if b.broken == nil {
		b.since = time.Now()
	}
	b.broken = reason
}

// setLoaded says that the view has what the watch has begun with.
func (b *Bucket[T]) setLoaded(w *watch) {
	b.setBroken(nil)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loaded = w.reconnects
}

// Ready is nil while the view follows the bucket. Otherwise look-ups still
// answer what was last known, and the error says why and since when.
func (b *Bucket[T]) Ready() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.broken != nil:
		return fmt.Errorf("the bucket %s is not up to date since %s: %w", b.name, b.since.UTC().Format(time.RFC3339), b.broken)
	case !b.nc.IsConnected():
		return fmt.Errorf("the bucket %s is not up to date: its connection is lost", b.name)
	case b.nc.Stats().Reconnects != b.loaded:
		return fmt.Errorf("the bucket %s is not up to date: its connection was lost, and it is not read again yet", b.name)
	}
	return nil
}

// OnChange has f called for every change that is seen after Start's load: in
// order, from one goroutine for all listeners. The view shows the change
// already. Call it before Start.
func (b *Bucket[T]) OnChange(f func(key string)) { b.notify.listen(f) }

// Get returns what the view holds under the key; never nil.
func (b *Bucket[T]) Get(key string) *Entry[T] { return b.view.get(key) }

// Page returns up to limit live values, by key, that come after the given key.
func (b *Bucket[T]) Page(after string, limit int) []T { return b.view.page(after, max(limit, 0)) }

// Read calls f with the entries and the index as they are now. f must not keep
// them, nor call anything of the bucket.
func (b *Bucket[T]) Read(f func(get func(key string) *Entry[T], index Index[T])) { b.view.read(f) }
