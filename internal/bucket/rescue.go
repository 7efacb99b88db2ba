package bucket

import (
	"context"
	"time"
)

// The folder of the streams can be removed while the server runs. The bucket is then
// made anew, empty, and what it held is in memory still. One that somebody has made
// anew by hand is as it is wanted: the difference is that nothing could be stored.

// loadOrRescue is loadUntil, but what the view has goes into a bucket that is new.
func (b *Bucket[T]) loadOrRescue(ctx context.Context) (*watch, *table[T], error) {
	for pause := firstRetry; ; pause = min(2*pause, longestRetry) {
		w, t, err := b.loadUntil(ctx)
		if err != nil || !b.isNew(w) {
			return w, t, err
		}
		b.closeWatch(w)
		err = b.rescue(ctx)
		if err == nil {
			continue // it is not new any more
		}
		b.opts.Logger.Warn("bucket: what is in memory cannot be written to the new bucket, trying again", "bucket", b.name, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, nil, err
		}
	}
}

// isNew is true for a bucket that nothing was ever written to, although the view has
// something of it: its sequences outlive deletions and purges.
func (b *Bucket[T]) isNew(w *watch) bool {
	return w.stored == 0 && b.view.live() > 0 && b.storable() != nil
}

// rescue writes the live entries of the view. One that another server has written
// meanwhile stays.
func (b *Bucket[T]) rescue(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.opts.LoadTimeout)
	defer cancel()
	values := b.view.all()
	b.opts.Logger.Error("bucket: it was made anew, empty: writing to it what is in memory", "bucket", b.name, "entries", len(values))
	var flying []flight
	land := func(f flight) error {
		_, err := landed(ctx, f.ack)
		if err != nil && !conflict(err) {
			return err
		}
		return nil
	}
	for key, value := range values {
		if len(flying) >= b.opts.Window {
			if err := land(flying[0]); err != nil {
				return err
			}
			flying = flying[1:]
		}
		ack, err := b.send(key, Decision[T]{Write: true, Next: value}, 0)
		if err != nil {
			return err
		}
		flying = append(flying, flight{ack: ack})
	}
	for _, f := range flying {
		if err := land(f); err != nil {
			return err
		}
	}
	return nil
}

// all are the live entries of the view.
func (v *view[T]) all() map[string]T {
	v.mu.RLock()
	defer v.mu.RUnlock()
	values := make(map[string]T, v.table.live)
	for key, e := range v.table.entries {
		if e.State == Live {
			values[key] = e.Value
		}
	}
	return values
}
