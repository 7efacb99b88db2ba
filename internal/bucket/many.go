package bucket

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// EditMany is Edit for many keys; the writes are pipelined. decide gets the index of
// its key and may be called more than once, the later of two with the same key
// after the earlier one is done. The error at i is of keys[i]. It returns when the
// view shows all.
func (b *Bucket[T]) EditMany(ctx context.Context, keys []string, decide func(i int, e *Entry[T]) (Decision[T], error)) []error {
	errs := make([]error, len(keys))
	if err := b.writable(); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.WriteTimeout*time.Duration(1+len(keys)/1000))
	defer cancel()
	todo := make([]int, len(keys))
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		var wave []int
		wave, todo = firstOfEachKey(keys, todo)
		b.editWave(ctx, keys, wave, decide, errs)
	}
	return errs
}

// firstOfEachKey takes the first of each key out of todo: what is decided on the
// view must not be overtaken by a write of the same wave.
func firstOfEachKey(keys []string, todo []int) (wave, rest []int) {
	there := make(map[string]bool, len(todo))
	for _, i := range todo {
		if there[keys[i]] {
			rest = append(rest, i)
			continue
		}
		there[keys[i]] = true
		wave = append(wave, i)
	}
	return wave, rest
}

// flight is a write of which the acknowledgement is still to come.
type flight struct {
	index int
	ack   jetstream.PubAckFuture
}

func (b *Bucket[T]) editWave(ctx context.Context, keys []string, wave []int, decide func(int, *Entry[T]) (Decision[T], error), errs []error) {
	var flying []flight
	var again []int
	var revision uint64
	land := func(f flight) {
		sequence, err := landed(ctx, f.ack)
		switch {
		case err == nil:
			revision = max(revision, sequence)
		case conflict(err) || passing(err) && ctx.Err() == nil:
			again = append(again, f.index)
		default:
			errs[f.index] = unavailable(err)
		}
	}
	for _, i := range wave {
		if len(flying) >= b.opts.Window {
			land(flying[0])
			flying = flying[1:]
		}
		e := b.view.get(keys[i])
		what, err := decide(i, e)
		if err != nil || !what.Write {
			errs[i] = err
			continue
		}
		ack, err := b.send(keys[i], what, e.Revision)
		if err != nil {
			errs[i] = unavailable(err)
			continue
		}
		flying = append(flying, flight{i, ack})
	}
	for _, f := range flying {
		land(f)
	}
	// The view may be behind what it was decided on, or the stream had no leader:
	// one by one, with retries.
	for _, i := range again {
		_, errs[i] = b.Edit(ctx, keys[i], func(e *Entry[T]) (Decision[T], error) { return decide(i, e) })
	}
	if err := b.shown(ctx, revision); err != nil {
		for _, i := range wave {
			if errs[i] == nil {
				errs[i] = err
			}
		}
	}
}

func (b *Bucket[T]) send(key string, what Decision[T], revision uint64) (jetstream.PubAckFuture, error) {
	if err := b.values.Key(key); err != nil {
		return nil, err
	}
	msg, err := b.message(key, what, revision)
	if err != nil {
		return nil, err
	}
	return b.js.PublishMsgAsync(msg)
}

func landed(ctx context.Context, ack jetstream.PubAckFuture) (uint64, error) {
	select {
	case a := <-ack.Ok():
		return a.Sequence, nil
	case err := <-ack.Err():
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
