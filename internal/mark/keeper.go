package mark

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/pause"
	"github.com/statuswire/statuswire/status"
)

// Keeper has a Store outlive its process: it writes what changes to a stream, and
// reads it back at the start. A process that is killed loses what it has not
// written yet; then more comes twice. The first mark of a subject is written soon:
// without it nothing would come of what was missed.
type Keeper struct {
	store  *Store
	opts   Options
	js     jetstream.JetStream
	stream string
	// subject is where this process writes; each has its own.
	subject string

	mu      sync.Mutex // guards started, stopped
	started bool
	stopped bool

	halt chan struct{} // closed by Stop
	done chan struct{} // closed when run has ended

	written, failures, bytes atomic.Uint64
	restored                 atomic.Uint64
}

// KeeperStats counts what a Keeper did since it was made.
type KeeperStats struct {
	Restored uint64 // keys read back at the start
	Written  uint64 // records that the stream has acknowledged
	Bytes    uint64 // of the messages that they were in
	Failures uint64 // messages that the stream has not acknowledged
}

// NewKeeper makes a keeper of the store on nc, a connection of the engine's
// PartMarks; stream is the name of the stream. It starts nothing.
func NewKeeper(nc *nats.Conn, stream string, store *Store) (*Keeper, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("marks: %w", err)
	}
	node := status.UserID(nc.ConnectedServerName()).Token() // safe in a subject
	return &Keeper{
		store: store, opts: store.opts, js: js, stream: stream, subject: subjectRoot + node,
		halt: make(chan struct{}), done: make(chan struct{}),
	}, nil
}

// subjectRoot is followed by the name of the node that writes.
const subjectRoot = "marks."

// Start reads back what an earlier process has left, and begins to write. What
// cannot be read is lost, which ends nothing: those browsers begin from now.
func (k *Keeper) Start(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.started || k.stopped {
		return ErrStarted
	}
	k.started = true
	ctx, cancel := context.WithTimeout(ctx, k.opts.Timeout)
	defer cancel()
	if err := k.load(ctx); err != nil {
		k.opts.Logger.Warn("the marks of an earlier process cannot be read: its browsers begin from now", "error", err)
	}
	go k.run() // ends with Stop
	return nil
}

// Stop writes what the stream does not have yet, for as long as the context
// allows. Connections should have ended by then.
func (k *Keeper) Stop(ctx context.Context) error {
	k.mu.Lock()
	started, first := k.started, !k.stopped
	k.stopped = true
	k.mu.Unlock()
	if first {
		close(k.halt)
	}
	if !started {
		return nil
	}
	select {
	case <-k.done:
	case <-ctx.Done():
		return fmt.Errorf("marks: stop: %w", ctx.Err())
	}
	if !first {
		return nil
	}
	if _, err := k.write(ctx, k.store.due()); err != nil {
		return fmt.Errorf("marks: the last ones are not written: %w", err)
	}
	return nil
}

// Stats returns the counts of now.
func (k *Keeper) Stats() KeeperStats {
	return KeeperStats{
		Restored: k.restored.Load(), Written: k.written.Load(),
		Bytes: k.bytes.Load(), Failures: k.failures.Load(),
	}
}

// run writes from time to time until Stop, and a mark that is the first of its
// subject soon.
func (k *Keeper) run() {
	defer close(k.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timer := time.NewTimer(k.opts.WriteEvery)
	defer timer.Stop()
	failing := false
	write := func(keys []Key) (took time.Duration) {
		size, err := k.write(ctx, keys)
		if err != nil && !failing {
			k.opts.Logger.Warn("the marks cannot be written: trying again", "error", err)
		}
		failing = err != nil
		// What all connections write in one go is bounded by how long it may take.
		return time.Duration(size) * time.Second / time.Duration(k.opts.MaxWriteRate)
	}
	for {
		select {
		case <-timer.C:
			timer.Reset(max(k.opts.WriteEvery, write(k.store.due())))
		case <-k.store.begins:
			if !pause.For(k.halt, beginWait) || !pause.For(k.halt, write(k.store.begunKeys())) {
				return
			}
		case <-k.halt:
			return
		}
	}
}

// beginWait is how long the first mark of a subject waits for others.
const beginWait = 100 * time.Millisecond

const (
	// maxMessageBytes is how large a message of the stream gets, and a record.
	maxMessageBytes = 256 << 10
	// recordsAtOnce are read under the store's lock together.
	recordsAtOnce = 64
)

// write sends what is known of the keys and returns how many bytes that was.
func (k *Keeper) write(ctx context.Context, keys []Key) (size int, err error) {
	var message []byte
	var pending []record
	send := func() error {
		if len(pending) == 0 {
			return nil
		}
		err := k.publish(ctx, message)
		if err != nil {
			k.store.failed(pending)
			k.failures.Add(1)
		} else {
			k.store.wrote(pending)
			k.written.Add(uint64(len(pending)))
			k.bytes.Add(uint64(len(message)))
			size += len(message)
		}
		message, pending = message[:0], pending[:0]
		return err
	}
	for len(keys) > 0 {
		n := min(recordsAtOnce, len(keys))
		records := k.store.records(keys[:n])
		keys = keys[n:]
		for i, r := range records {
			line, err := appendRecord(nil, r)
			if err == nil && len(line) > maxMessageBytes {
				err = fmt.Errorf("the marks of a connection take %d bytes", len(line))
			}
			if err != nil {
				k.opts.Logger.Error("a mark cannot be written", "error", err)
				continue
			}
			if len(message)+len(line) > maxMessageBytes {
				if err := send(); err != nil {
					k.store.failed(records[i:])
					return size, err
				}
			}
			message, pending = append(message, line...), append(pending, r)
		}
	}
	return size, send()
}

func (k *Keeper) publish(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, k.opts.Timeout)
	defer cancel()
	_, err := k.js.Publish(ctx, k.subject, message, jetstream.WithRetryAttempts(0))
	return err
}

// load reads the stream, the newest message first: the last record of a key
// counts. None is too old: what a killed process has left may not have been written
// again by the next one, if that was killed soon too.
func (k *Keeper) load(ctx context.Context) error {
	stream, err := k.js.Stream(ctx, k.stream)
	if err != nil {
		return err
	}
	state := stream.CachedInfo().State
	newest := map[Key]record{}
	defer func() { k.restore(newest) }() // what was read before an error, too
	for seq := state.LastSeq; seq >= max(1, state.FirstSeq); seq-- {
		m, err := stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // it has become too old meanwhile
		}
		if err != nil {
			return err
		}
		records, err := readRecords(m.Data)
		if err != nil {
			k.opts.Logger.Warn("marks that make no sense are left out", "error", err)
		}
		for _, r := range slices.Backward(records) {
			if _, known := newest[r.key]; !known {
				newest[r.key] = r
			}
		}
	}
	return nil
}

func (k *Keeper) restore(newest map[Key]record) {
	k.store.restore(slices.Collect(maps.Values(newest)))
	k.restored.Store(uint64(k.store.Stats().Keys))
}
