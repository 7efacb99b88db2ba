package broadcaster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// queueGroup shares the submissions among the servers of a cluster. A server
// prefers its own member, so what one connection publishes stays in order.
const queueGroup = "broadcaster"

// Directory knows the conversations.
type Directory interface {
	// Conversation is asked for every status, so it answers from memory. The
	// error of an unknown id is a directory.ErrNotFound; any other is taken for
	// a passing failure. The context ends when the Broadcaster stops.
	Conversation(ctx context.Context, id status.ConversationID) (directory.Conversation, error)
}

// Broadcaster checks and stores what services publish. New makes it, Start and
// Stop are its one life. Safe for concurrent use.
type Broadcaster struct {
	nc     *nats.Conn
	dir    Directory
	opts   Options
	counts *counts
	relay  *relay
	recent *recent

	ctx     context.Context // of the directory's answers; ends with Stop
	cancel  context.CancelFunc
	workers []chan *nats.Msg
	working sync.WaitGroup

	handed chan struct{} // closed when sub has handed over its last message
	ended  chan struct{} // closed when Stop has ended everything

	mu      sync.Mutex // guards what follows
	started bool
	stopped bool
	sub     *nats.Subscription
}

// New wires a Broadcaster and starts nothing. nc needs the permissions of the
// part broadcaster in nats.conf and stays the caller's to close.
func New(nc *nats.Conn, dir Directory, opts Options) (*Broadcaster, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	b := &Broadcaster{
		nc: nc, dir: dir, opts: opts,
		counts:  newCounts(),
		relay:   newRelay(nc),
		recent:  newRecent(),
		workers: make([]chan *nats.Msg, opts.Workers),
		handed:  make(chan struct{}),
		ended:   make(chan struct{}),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	for i := range b.workers {
		b.workers[i] = make(chan *nats.Msg, opts.QueueLength)
	}
	return b, nil
}

// Start begins to take submissions. It returns when the server sends them.
func (b *Broadcaster) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.started || b.stopped {
		return errors.New("broadcaster: it was started or stopped before: make a new one")
	}
	if err := b.relay.start(); err != nil {
		return fmt.Errorf("broadcaster: cannot hear acknowledgements: %w", err)
	}
	sub, err := b.nc.QueueSubscribe(status.AllSubmitSubjects, queueGroup, b.dispatch)
	if err != nil {
		b.relay.stop()
		return fmt.Errorf("broadcaster: cannot hear submissions: %w", err)
	}
	b.started, b.sub = true, sub
	sub.SetClosedHandler(func(string) { close(b.handed) })
	for _, queue := range b.workers {
		b.working.Go(func() { b.work(queue) }) // ends when drain closes the queue
	}
	err = sub.SetPendingLimits(-1, 2*b.opts.MaxPendingBytes)
	if err == nil {
		err = b.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("broadcaster: cannot hear submissions: %w", err)
	}
	return nil
}

// Stop takes no more submissions, finishes those that have arrived and returns
// when the server has them. When ctx ends before, it gives up on what is left:
// that was not acknowledged to anybody.
func (b *Broadcaster) Stop(ctx context.Context) error {
	b.mu.Lock()
	first, running := !b.stopped, b.started
	b.stopped = true
	b.mu.Unlock()
	if !first {
		select {
		case <-b.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer close(b.ended)
	defer b.cancel()
	if !running {
		return nil
	}
	err := b.drain(ctx)
	b.relay.stop()
	if err != nil {
		return fmt.Errorf("broadcaster: stopped before all was finished: %w", err)
	}
	return nil
}

func (b *Broadcaster) drain(ctx context.Context) error {
	stopDirectory := context.AfterFunc(ctx, b.cancel)
	defer stopDirectory()
	if err := b.sub.Drain(); err != nil { // the connection is closed
		_ = b.sub.Unsubscribe()
	}
	var err error
	select {
	case <-b.handed:
	case <-ctx.Done():
		err = ctx.Err()
		_ = b.sub.Unsubscribe()
		<-b.handed
	}
	for _, queue := range b.workers {
		close(queue)
	}
	b.working.Wait()
	if b.nc.IsClosed() {
		return errors.Join(err, nats.ErrConnectionClosed)
	}
	if err == nil {
		err = b.relay.finish(ctx)
	}
	if err == nil {
		err = b.flush(ctx)
	}
	return err
}

// flushTimeout bounds a flush when the caller's context has no deadline.
const flushTimeout = 10 * time.Second

// flush returns when the server has everything that was published.
func (b *Broadcaster) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return b.nc.FlushWithContext(ctx)
}

// dispatch hands a submission to the worker of its conversation.
func (b *Broadcaster) dispatch(m *nats.Msg) {
	b.counts.received.Add(1)
	if _, pending, err := m.Sub.Pending(); err == nil && pending > b.opts.MaxPendingBytes {
		b.refuse(m, status.ErrOverloaded.Withf("more statuses than can be taken at the moment: publish again with the same id"))
		return
	}
	b.workers[shard(m.Subject, len(b.workers))] <- m
}

// shard is FNV-1a over the conversation of submit.<conversation>.<category>.
func shard(subject string, n int) int {
	if n == 1 {
		return 0
	}
	hash := uint32(2166136261)
	dots := 0
	for i := 0; i < len(subject) && dots < 2; i++ {
		if subject[i] == '.' {
			dots++
		}
		hash = (hash ^ uint32(subject[i])) * 16777619
	}
	return int(hash % uint32(n))
}

func (b *Broadcaster) work(queue <-chan *nats.Msg) {
	for m := range queue {
		b.process(m)
	}
}

// StreamFailed tells the publishers of what was forwarded since then that it may not
// be stored: a stream that cannot write acknowledges nothing, and they would wait
// for their time-out. Who was acknowledged before hears it too late to take notice.
// Call it when Options.Storable says so already.
func (b *Broadcaster) StreamFailed(since time.Time) {
	refusal := status.ErrUnavailable.Withf("the status may not be stored, as the stream has failed: publish again with the same id").Response()
	for _, s := range b.recent.takeSince(since) {
		if s.relayed {
			b.relay.forget() // the stream's answer does not come
		}
		if err := b.nc.Publish(s.reply, refusal); err != nil {
			b.opts.Logger.Warn("cannot answer a status that may not be stored", "error", err)
		}
	}
}

func (b *Broadcaster) process(m *nats.Msg) {
	if refusal := b.submit(m); refusal != nil {
		b.refuse(m, refusal)
	}
}
