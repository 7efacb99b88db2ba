package history

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"
)

// epochOf names a life of the stream by when it was made. Sequences of two lives
// have nothing to do with each other, and only this tells them apart. The time
// stays as it is over restarts, changes of the configuration and a restored
// backup, and all replicas have the same one (nats-server 2.15.2). "" is unknown.
func epochOf(created time.Time) string {
	if created.IsZero() {
		return ""
	}
	return strconv.FormatInt(created.UnixNano(), 36)
}

// EpochFresh is for how long an epoch that was read is taken for the one of now.
const EpochFresh = time.Second

// knownEpoch is the epoch that was last read. Safe for concurrent use.
type knownEpoch struct {
	read   atomic.Pointer[readEpoch]
	asking atomic.Bool
}

type readEpoch struct {
	epoch string
	at    time.Time
}

func (k *knownEpoch) set(epoch string) { k.read.Store(&readEpoch{epoch, time.Now()}) }

// Epoch is an epoch that the stream had before now, and as a rule still has. Who
// reads afterwards can say that what it has read is of this one: if it is of a
// later one, its place will be refused, which loses nothing. The other way round, a
// place of the old stream would be taken for one of the new.
func (r *Reader) Epoch(ctx context.Context) (string, error) {
	known := r.epoch.read.Load()
	if known != nil {
		if time.Since(known.at) < EpochFresh || !r.epoch.asking.CompareAndSwap(false, true) {
			return known.epoch, nil // somebody else asks already
		}
		defer r.epoch.asking.Store(false)
	}
	now, err := r.retained(ctx, "")
	return now.epoch, err
}
