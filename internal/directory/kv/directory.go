package kv

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/bucket"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// Directory is the directory in a JetStream key-value bucket. Safe for
// concurrent use.
type Directory struct {
	bucket *bucket.Bucket[directory.Conversation]
}

// New returns a directory on the bucket "directory", which nc may read and write.
// It starts nothing. The connection stays the caller's.
func New(nc *nats.Conn, opts Options) *Directory {
	return &Directory{bucket.New(nc, bucketName, values(), newUsers, opts)}
}

// Start loads the bucket and returns when the view is whole. It tries for as
// long as ctx and LoadTimeout allow. A directory is started once.
func (d *Directory) Start(ctx context.Context) error {
	if err := d.bucket.Start(ctx); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	return nil
}

// Stop ends the watch and the notices. It returns when every goroutine has
// ended, or with ctx's error before. Stopping twice or without Start is fine.
// Look-ups go on to answer from what was last known; Ready says so.
func (d *Directory) Stop(ctx context.Context) error {
	if err := d.bucket.Stop(ctx); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	return nil
}

// Ready is nil while the view follows the bucket. Otherwise look-ups still
// answer what was last known, and the error says why and since when.
func (d *Directory) Ready() error {
	if err := d.bucket.Ready(); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	return nil
}

// OnChange has f called for every change that is seen after Start's load: in
// order, from one goroutine for all listeners. The view shows the change
// already. Call it before Start.
func (d *Directory) OnChange(f func(directory.Change)) {
	d.bucket.OnChange(func(key string) { f(directory.Change{ID: status.ConversationID(key)}) })
}

// Conversation returns what the view holds. The error wraps
// directory.ErrNotFound; an entry that cannot be read counts as not found.
func (d *Directory) Conversation(_ context.Context, id status.ConversationID) (directory.Conversation, error) {
	if e := d.bucket.Get(string(id)); e.State == bucket.Live {
		return e.Value, nil
	}
	return directory.Conversation{}, notFound(id)
}

// OfUser returns the first limit conversations, by id, that the user owns or is
// a member of. A limit of 0 or less means none.
func (d *Directory) OfUser(_ context.Context, user status.UserID, limit int) (ids []status.ConversationID, err error) {
	d.bucket.Read(func(_ func(string) *entry, index bucket.Index[directory.Conversation]) {
		theirs := index.(users)[user]
		ids = slices.Clone(theirs[:min(max(limit, 0), len(theirs))])
	})
	return ids, nil
}

// List returns the conversations of owner by id; all of them when owner is empty.
func (d *Directory) List(ctx context.Context, owner status.UserID) ([]directory.Conversation, error) {
	return d.Page(ctx, owner, "", math.MaxInt)
}

// Page returns up to limit conversations of List whose id comes after the given one.
func (d *Directory) Page(_ context.Context, owner status.UserID, after status.ConversationID, limit int) ([]directory.Conversation, error) {
	if owner == "" {
		return d.bucket.Page(string(after), limit), nil
	}
	list := []directory.Conversation{}
	d.bucket.Read(func(get func(string) *entry, index bucket.Index[directory.Conversation]) {
		ids := index.(users)[owner]
		start, found := slices.BinarySearch(ids, after)
		if found {
			start++
		}
		for _, id := range ids[start:] {
			if len(list) >= limit {
				return
			}
			if c := get(string(id)).Value; c.Owner == owner {
				list = append(list, c)
			}
		}
	})
	return list, nil
}

// WasDeleted tells whether there was a conversation of that id that is deleted
// now, so that something of it may still lie about.
func (d *Directory) WasDeleted(_ context.Context, id status.ConversationID) (bool, error) {
	e := d.bucket.Get(string(id))
	return e.State == bucket.Absent && e.Revision > 0, nil
}

func notFound(id status.ConversationID) error {
	return fmt.Errorf("%w: %q", directory.ErrNotFound, id)
}

// translated says what the bucket's errors are to a directory.
func translated(id status.ConversationID, err error) error {
	switch {
	case errors.Is(err, bucket.ErrConflict):
		return fmt.Errorf("%w: %q", directory.ErrConflict, id)
	case errors.Is(err, bucket.ErrUnavailable):
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	return err
}
