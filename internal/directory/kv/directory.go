package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// Directory is the directory in a JetStream key-value bucket. Safe for
// concurrent use.
type Directory struct {
	nc     *nats.Conn
	opts   Options
	stream string // of the bucket
	prefix string // of the subjects of its keys
	js     jetstream.JetStream
	view   *view
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
}

// New returns a directory on the bucket opts.Bucket, which nc may read and
// write. It starts nothing. The connection stays the caller's.
func New(nc *nats.Conn, opts Options) *Directory {
	opts = opts.withDefaults()
	return &Directory{
		nc: nc, opts: opts,
		stream: "KV_" + opts.Bucket,
		prefix: "$KV." + opts.Bucket + ".",
		view:   newView(),
		notify: newNotifier(),
		locks:  newStripes(),
		broken: errors.New("it is not started"),
		since:  time.Now(),
	}
}

// Start loads the bucket and returns when the view is whole. It tries for as
// long as ctx and LoadTimeout allow. A directory is started once.
func (d *Directory) Start(ctx context.Context) error {
	if err := d.opts.Validate(); err != nil {
		return fmt.Errorf("directory options: %w", err)
	}
	d.mu.Lock()
	if d.started {
		d.mu.Unlock()
		return errors.New("directory was started before: make a new one")
	}
	d.started = true
	d.mu.Unlock()

	js, err := jetstream.New(d.nc,
		jetstream.WithPublishAsyncMaxPending(2*d.opts.ImportWindow),
		jetstream.WithPublishAsyncTimeout(2*ackTimeout))
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	d.js = js
	running, stop := context.WithCancel(context.Background())
	changes := d.nc.StatusChanged(nats.CONNECTED)
	d.ended.Go(func() { d.watchConnection(running, changes) }) // ends with running, as the two below

	loading, cancel := context.WithTimeout(ctx, d.opts.LoadTimeout)
	defer cancel()
	w, t, err := d.loadUntil(loading)
	if err != nil {
		stop()
		d.ended.Wait()
		return fmt.Errorf("directory: %w", err)
	}
	d.view.replace(t)
	d.setBroken(nil)
	d.ended.Go(func() { d.run(running, w) })
	d.ended.Go(func() { d.notify.run(running) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop = stop
	return nil
}

// Stop ends the watch and the notices. It returns when every goroutine has
// ended, or with ctx's error before. Stopping twice or without Start is fine.
// Look-ups go on to answer from what was last known; Ready says so.
func (d *Directory) Stop(ctx context.Context) error {
	d.mu.Lock()
	stop := d.stop
	d.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	d.setBroken(errStopped)
	ended := make(chan struct{})
	go func() { // ends with the others
		d.ended.Wait()
		d.js.CleanupPublisher()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("directory: %w", ctx.Err())
	}
}

var errStopped = errors.New("it is stopped")

func (d *Directory) setBroken(reason error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(d.broken, errStopped) {
		return
	}
	if d.broken == nil {
		d.since = time.Now()
	}
	d.broken = reason
}

// Ready is nil while the view follows the bucket. Otherwise look-ups still
// answer what was last known, and the error says why and since when.
func (d *Directory) Ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.broken != nil:
		return fmt.Errorf("directory is not up to date since %s: %w", d.since.UTC().Format(time.RFC3339), d.broken)
	case !d.nc.IsConnected():
		return errors.New("directory is not up to date: its connection is lost")
	}
	return nil
}

// OnChange has f called for every change that is seen after Start's load: in
// order, from one goroutine for all listeners. The view shows the change
// already. Call it before Start.
func (d *Directory) OnChange(f func(directory.Change)) { d.notify.listen(f) }

// Conversation returns what the view holds. The error wraps
// directory.ErrNotFound; an entry that cannot be read counts as not found.
func (d *Directory) Conversation(_ context.Context, id status.ConversationID) (directory.Conversation, error) {
	if e := d.view.get(id); e.state == live {
		return e.conversation, nil
	}
	return directory.Conversation{}, notFound(id)
}

// OfUser returns the first limit conversations, by id, that the user owns or is
// a member of. A limit of 0 or less means none.
func (d *Directory) OfUser(_ context.Context, user status.UserID, limit int) ([]status.ConversationID, error) {
	return d.view.ofUser(user, max(limit, 0)), nil
}

// List returns the conversations of owner by id; all of them when owner is empty.
func (d *Directory) List(ctx context.Context, owner status.UserID) ([]directory.Conversation, error) {
	return d.Page(ctx, owner, "", maxInt)
}

// Page returns up to limit conversations of List whose id comes after the given one.
func (d *Directory) Page(_ context.Context, owner status.UserID, after status.ConversationID, limit int) ([]directory.Conversation, error) {
	return d.view.page(owner, after, max(limit, 0)), nil
}

// WasDeleted tells whether there was a conversation of that id that is deleted
// now, so that something of it may still lie about.
func (d *Directory) WasDeleted(_ context.Context, id status.ConversationID) (bool, error) {
	e := d.view.get(id)
	return e.state == absent && e.revision > 0, nil
}

func notFound(id status.ConversationID) error {
	return fmt.Errorf("%w: %q", directory.ErrNotFound, id)
}
