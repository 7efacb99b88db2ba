package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/bucket"
)

// MaxKeys bounds how many there are.
const MaxKeys = 10_000

// bucketName is the name of the bucket, which must exist.
const bucketName = "keys"

// Options are the settings of a Ring. Zero means the default.
type Options = bucket.Options

// Ring is the named keys. Safe for concurrent use.
type Ring struct {
	bucket *bucket.Bucket[Key]
}

type (
	entry    = bucket.Entry[Key]
	decision = bucket.Decision[Key]
)

// byPublic are the names under each public key. Two nodes may take the same public
// key for two names at once: then there are two.
type byPublic map[string][]string

// Put implements bucket.Index.
func (b byPublic) Put(name string, k Key) { b[k.Public] = append(b[k.Public], name) }

// Drop implements bucket.Index.
func (b byPublic) Drop(name string, k Key) {
	left := b[k.Public][:0:0]
	for _, n := range b[k.Public] {
		if n != name {
			left = append(left, n)
		}
	}
	if len(left) == 0 {
		delete(b, k.Public)
		return
	}
	b[k.Public] = left
}

// New returns the keys in the bucket "keys", which nc may read and write. It starts
// nothing. The connection stays the caller's.
func New(nc *nats.Conn, opts Options) *Ring {
	values := bucket.Values[Key]{
		Key: func(key string) error {
			_, err := ParseName(key)
			return err
		},
		Decode: decode, Encode: encode, Equal: Key.Equal,
	}
	return &Ring{bucket.New(nc, bucketName, values, func() bucket.Index[Key] { return byPublic{} }, opts)}
}

// Start loads the bucket and returns when the view is whole. A ring is started once.
func (r *Ring) Start(ctx context.Context) error {
	if err := r.bucket.Start(ctx); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// Stop ends the watch and the notices. Stopping twice or without Start is fine.
// Look-ups go on to answer from what was last known.
func (r *Ring) Stop(ctx context.Context) error {
	if err := r.bucket.Stop(ctx); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// Ready is nil while the view follows the bucket. Otherwise look-ups still answer
// what was last known.
func (r *Ring) Ready() error {
	if err := r.bucket.Ready(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// OnChange has f called when a key was made or ended, on whatever node: in order,
// from one goroutine. The ring shows the change already. Call it before Start.
func (r *Ring) OnChange(f func()) { r.bucket.OnChange(func(string) { f() }) }

// ByPublic returns the key whose public key it is. Of two the one whose name comes
// first counts.
func (r *Ring) ByPublic(public string) (key Key, ok bool) {
	r.bucket.Read(func(get func(string) *entry, index bucket.Index[Key]) {
		for _, name := range index.(byPublic)[public] {
			if k := get(name).Value; !ok || k.Name < key.Name {
				key, ok = k, true
			}
		}
	})
	return key, ok
}

// Page returns up to limit keys, by name, that come after the given name.
func (r *Ring) Page(after Name, limit int) []Key { return r.bucket.Page(string(after), limit) }

// Create adds the key and returns it as it is kept; Created is now. One that is
// there as it is asked for is returned as it is, so that asking again is safe.
// Errors: ErrInvalid, ErrExists, ErrTooMany, ErrUnavailable.
func (r *Ring) Create(ctx context.Context, k Key) (Key, error) {
	k.Created = time.Now()
	if err := k.Validate(); err != nil {
		return Key{}, err
	}
	k = k.normalized()
	return r.edit(ctx, k.Name, func(e *entry) (decision, error) {
		if e.State == bucket.Live && e.Value.Equal(k) {
			return decision{Next: e.Value}, nil
		}
		if e.State != bucket.Absent { // also one that cannot be read: it may be somebody's
			return decision{}, fmt.Errorf("%w: %q: choose another name, or end that key first", ErrExists, k.Name)
		}
		if other, there := r.ByPublic(k.Public); there {
			return decision{}, fmt.Errorf("%w: its public key is that of %q", ErrExists, other.Name)
		}
		if len(r.Page("", MaxKeys)) >= MaxKeys {
			return decision{}, ErrTooMany
		}
		return decision{Write: true, Next: k}, nil
	})
}

// End takes the key away, one that cannot be read too, and returns it. Errors:
// ErrInvalid, ErrNotFound, ErrUnavailable.
func (r *Ring) End(ctx context.Context, name Name) (Key, error) {
	if _, err := ParseName(string(name)); err != nil {
		return Key{}, err
	}
	return r.edit(ctx, name, func(e *entry) (decision, error) {
		switch e.State {
		case bucket.Absent:
			return decision{}, fmt.Errorf("%w: %q", ErrNotFound, name)
		case bucket.Broken:
			return decision{Write: true, Delete: true, Next: Key{Name: name}}, nil
		}
		return decision{Write: true, Delete: true, Next: e.Value}, nil
	})
}

func (r *Ring) edit(ctx context.Context, name Name, decide func(*entry) (decision, error)) (Key, error) {
	k, err := r.bucket.Edit(ctx, string(name), decide)
	if errors.Is(err, bucket.ErrConflict) || errors.Is(err, bucket.ErrUnavailable) {
		return Key{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return k, err
}
