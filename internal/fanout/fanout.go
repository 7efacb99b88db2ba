package fanout

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/tail"
)

// Receiver takes the messages of its subscriptions.
type Receiver interface {
	// Deliver takes m for the subscription s. It must not block. Of the Fanout's
	// methods it may call Unsubscribe alone, as after a last message.
	Deliver(m *Message, s *Subscription)
	// Ended says that the fan-out ended the subscription s by itself, and why.
	Ended(s *Subscription, reason string)
}

var (
	// ErrStopped is returned by Subscribe after Stop.
	ErrStopped = errors.New("the fan-out has stopped")
	// ErrNoPlace is returned by SubscribeAfter for a subject of more than one
	// conversation.
	ErrNoPlace = errors.New("only what is of one conversation can begin at a place")
)

// Options are the fan-out's settings. The zero value of a field means its default.
type Options struct {
	// Shards is the number of goroutines that deliver; a topic always belongs
	// to the same one. Default: one for each processor.
	Shards int
	// ShardQueue is how many messages may wait for a shard. What exceeds it is
	// dropped by the NATS client and then found as a hole. Default 8192.
	ShardQueue int
	// MaxWaiting is how many messages of one topic may wait while a hole is
	// mended; further ones are found as a hole in their turn. Default 1024.
	MaxWaiting int
	// MaxHeld and MaxHeldBytes (of payload) bound what one subscription that
	// catches up holds back. What exceeds them is thrown away and read from the
	// stream in its turn. Default 256 messages and 256 KiB.
	MaxHeld      int
	MaxHeldBytes int
	// RepairTimeout bounds one attempt at mending. Default 2 s.
	RepairTimeout time.Duration
	// ReplayTimeout bounds one attempt at reading on for a subscription that
	// catches up, waiting for its turn included. Default 30 s.
	ReplayTimeout time.Duration
	// RepairAttempts is how often a hole or a replay is tried before the
	// subscriptions that it is for are ended with an error. Default 5.
	RepairAttempts int
	// RetryWait is the pause after the first attempt that failed; it grows with each.
	// A check that failed is made again after ten times that. Default 100 ms.
	RetryWait time.Duration
	// CheckEvery is how often each topic asks the stream whether something was
	// stored that did not come. It does so at once after a leader change, when the
	// connection was away, and when messages were dropped. Default 30 s.
	CheckEvery time.Duration
	// Keep is how long a topic of one conversation is kept when its last receiver has
	// left, for those who come back. Default: not at all.
	Keep time.Duration
	// MaxKept is how many topics are kept so; who left first goes first, when a topic
	// is wanted for which the server has no room as well. Default 10,000.
	MaxKept int
	// TailBytes is the memory for the newest statuses of all topics together, from
	// which those are served who come back; MaxTail and MaxTailBytes bound those of
	// one topic. When it is full, topics that are kept go first, then the oldest
	// statuses. Default 32 MiB, a negative one for nothing at all; 1024 statuses and
	// 256 KiB of a topic.
	TailBytes    int
	MaxTail      int
	MaxTailBytes int
	// MaxSubscriptions is how many subscriptions the server allows the connection. What
	// would come near to it is refused with ErrFull. Default: no bound.
	MaxSubscriptions int
	// Interest returns what the server has for the connection that has the client id
	// there. It is asked when the server has refused a subscription, to find out which.
	// Default: nobody can say, and such a topic is found to get nothing by its checks.
	Interest func(clientID uint64) ([]Interest, error)
	// OnDelivered hears how many receivers have taken a message: all who follow
	// its topic at once, those who catch up one by one. It must be quick, and not
	// call back. Default: nobody hears.
	OnDelivered func(m *Message, receivers int)
	// Logger takes what an operator should know. Default: discard.
	Logger *slog.Logger
}

// DefaultOptions returns the defaults that the fields name.
func DefaultOptions() Options {
	return Options{
		Shards:         runtime.GOMAXPROCS(0),
		ShardQueue:     8192,
		MaxWaiting:     1024,
		MaxHeld:        256,
		MaxHeldBytes:   256 << 10,
		RepairTimeout:  2 * time.Second,
		ReplayTimeout:  30 * time.Second,
		RepairAttempts: 5,
		RetryWait:      100 * time.Millisecond,
		CheckEvery:     30 * time.Second,
		MaxKept:        10_000,
		TailBytes:      32 << 20,
		MaxTail:        1024,
		MaxTailBytes:   256 << 10,
		Logger:         slog.New(slog.DiscardHandler),
	}
}

// withDefaults fills the fields that are not positive.
func (o Options) withDefaults() Options {
	d := DefaultOptions()
	positive(&o.Shards, d.Shards)
	positive(&o.ShardQueue, d.ShardQueue)
	positive(&o.MaxWaiting, d.MaxWaiting)
	positive(&o.MaxHeld, d.MaxHeld)
	positive(&o.MaxHeldBytes, d.MaxHeldBytes)
	positive(&o.ReplayTimeout, d.ReplayTimeout)
	positive(&o.RepairTimeout, d.RepairTimeout)
	positive(&o.RepairAttempts, d.RepairAttempts)
	positive(&o.RetryWait, d.RetryWait)
	positive(&o.CheckEvery, d.CheckEvery)
	positive(&o.MaxKept, d.MaxKept)
	o.TailBytes = cmp.Or(o.TailBytes, d.TailBytes)
	positive(&o.MaxTail, d.MaxTail)
	positive(&o.MaxTailBytes, d.MaxTailBytes)
	o.Logger = cmp.Or(o.Logger, d.Logger)
	return o
}

// positive sets the value to d unless it is positive.
func positive[T int | time.Duration](value *T, d T) {
	if *value <= 0 {
		*value = d
	}
}

// Stats counts what the fan-out did since it was made.
type Stats struct {
	Topics     int // subjects with an upstream subscription now
	Kept       int // of these, without a receiver
	Upstream   int // subscriptions that the connection has now, those of no topic included
	Limit      int // how many it may have; 0: no bound
	CatchingUp int // subscriptions now whose receivers are still handed what they missed

	Delivered uint64 // messages that a receiver has taken
	Doubles   uint64 // statuses dropped because they came before
	Mended    uint64 // statuses fetched to mend a hole
	Replayed  uint64 // statuses read from the stream for one subscription
	Failed    uint64 // holes and replays that were given up

	Tail     tail.Stats // what is remembered of all topics
	Hits     uint64     // subscriptions that were served from memory
	Misses   uint64     // and those for which the stream had to be read
	Recalled uint64     // statuses handed over from memory
}

// Fanout is the fan-out of one process. Safe for concurrent use.
type Fanout struct {
	opts   Options
	nc     *nats.Conn
	repair Repair
	seed   maphash.Seed
	shards []chan *nats.Msg

	mu      sync.Mutex // guards what follows
	topics  map[topicKey]*topic
	groups  map[groupKey]*group
	kept    *list.List      // of *topic, who left first in front
	purged  map[*topic]bool // remember nothing until their stream is known again: true in the next turn
	stopped bool

	bySub  sync.Map // *nats.Subscription → *topic: whose message it is
	marks  sync.Map // *nats.Msg → waiterOf: no messages, see barrier.go
	checks *checks
	tails  *tail.Store // nil: nothing is remembered
	stream streamState
	// unheard: what is ordered to be deleted does not reach the fan-out.
	unheard atomic.Bool
	opener  opener

	room    room
	refused chan struct{} // signalled when the server has refused a subscription

	ctx     context.Context // ends with Stop
	cancel  context.CancelFunc
	running sync.WaitGroup // shards, checks, menders, and who catches up

	delivered, doubles, mended, replayed, failed, hits, misses, recalled atomic.Uint64
	catchingUp                                                           atomic.Int64
}

// New makes a fan-out on the connection nc. It starts nothing.
func New(nc *nats.Conn, repair Repair, opts Options) *Fanout {
	opts = opts.withDefaults()
	f := &Fanout{
		opts: opts, nc: nc, repair: repair, seed: maphash.MakeSeed(),
		topics: map[topicKey]*topic{}, groups: map[groupKey]*group{}, kept: list.New(), purged: map[*topic]bool{},
		checks: newChecks(turnsIn(opts.CheckEvery)),
	}
	if opts.TailBytes > 0 {
		f.tails = tail.NewStore(tail.Limits{Bytes: opts.TailBytes, TopicBytes: opts.MaxTailBytes, TopicStatuses: opts.MaxTail})
	}
	f.room = room{nc: nc, max: max(0, opts.MaxSubscriptions)}
	f.refused = make(chan struct{}, 1)
	f.ctx, f.cancel = context.WithCancel(context.Background())
	for range opts.Shards {
		f.shards = append(f.shards, make(chan *nats.Msg, opts.ShardQueue))
	}
	return f
}

// Start begins to deliver.
func (f *Fanout) Start(context.Context) error {
	for _, shard := range f.shards {
		f.running.Go(func() { f.serve(shard) })
	}
	if err := f.watch(); err != nil {
		f.cancel()
		f.running.Wait()
		return fmt.Errorf("start the fan-out: %w", err)
	}
	return nil
}

// Stop ends every topic and returns when all goroutines have ended. Stopping
// twice, or without Start, is fine.
func (f *Fanout) Stop(ctx context.Context) error {
	f.mu.Lock()
	f.stopped = true
	topics := f.topics
	f.topics = map[topicKey]*topic{}
	for _, t := range topics {
		f.unkeepLocked(t)
	}
	f.mu.Unlock()
	for _, t := range topics {
		f.release(t, false)
	}
	f.cancel()
	done := make(chan struct{})
	go func() { f.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the fan-out: %w", ctx.Err())
	}
}

// Subscribe delivers the messages on subject to r, from now on, until the
// subscription is ended. It returns when the server has the interest. It is an error
// when the stream cannot be read, for then nobody would know what is missing, and
// ErrFull when the server would refuse. In a queue group each message goes to one member.
func (f *Fanout) Subscribe(ctx context.Context, subject, queue, sid string, r Receiver) (*Subscription, error) {
	s := &Subscription{Subject: subject, Queue: queue, SID: sid, receiver: r}
	for {
		if err := f.join(ctx, s); err != nil {
			return nil, err
		}
		s.began, s.placed = s.topic.place() // before the first message can come
		if s.topic.add(s) {
			return s, nil
		}
		f.leave(s.topic)
	}
}

// join finds or opens the topic of s and counts it in.
func (f *Fanout) join(ctx context.Context, s *Subscription) error {
	t, created, err := f.topic(topicKey{s.Subject, upstreamQueue(s.Queue)})
	if err != nil {
		return err
	}
	if created {
		f.open(t)
	}
	select {
	case <-t.opened:
	case <-ctx.Done():
		f.leave(t)
		return ctx.Err()
	}
	if t.openErr != nil {
		f.leave(t)
		return t.openErr
	}
	s.topic = t
	return nil
}

// SubscribeAfter is Subscribe, in no queue group, for one who was here before:
// first it gets what the stream has on subject after place, in order, then what is
// live, without a gap and nothing that place names. It returns when upstream
// interest is on its way; the replay runs on by itself, and waits for r before
// each part of it if r is a Pacer. If retention has dropped something after place,
// the next message that r gets says so, status.HeaderTruncated. A replay that
// fails for good ends the subscription.
func (f *Fanout) SubscribeAfter(ctx context.Context, subject, sid string, r Receiver, place Place) (*Subscription, error) {
	s := &Subscription{Subject: subject, SID: sid, receiver: r}
	var c *catchUp
	for added := false; !added; {
		if err := f.join(ctx, s); err != nil {
			return nil, err
		}
		switch at := s.topic.at; {
		case at == nil: // nothing is stored there
			s.topic.add(s)
			return s, nil
		case !at.whole:
			f.leave(s.topic)
			return nil, ErrNoPlace
		}
		s.began, s.placed = place, true
		c = newCatchUp(s, place)
		s.catchUp.Store(c)
		var served bool
		if added, served = c.enter(); served {
			return s, nil
		}
		if !added {
			c.end()
			f.leave(s.topic)
		}
	}
	if !f.begin(c.run) {
		f.Unsubscribe(s)
		return nil, ErrStopped
	}
	return s, nil
}

// begin runs do beside, unless the fan-out has stopped.
func (f *Fanout) begin(do func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return false
	}
	f.running.Go(do)
	return true
}

// Unsubscribe ends the subscription: no message is handed to its receiver
// after the one that may be on its way. Unsubscribing twice is fine.
func (f *Fanout) Unsubscribe(s *Subscription) {
	if s.topic.remove(s) {
		f.leave(s.topic)
	}
}

// Flush returns when the server has the interest of every earlier Subscribe.
func (f *Fanout) Flush(ctx context.Context) error {
	return f.nc.FlushWithContext(ctx)
}

// countDelivered notes that m went to the receivers, but for those who declined.
func (f *Fanout) countDelivered(m *Message, receivers int) {
	receivers -= m.declined
	f.delivered.Add(uint64(receivers))
	if f.opts.OnDelivered != nil {
		f.opts.OnDelivered(m, receivers)
	}
}

// Stats returns the counts of now.
func (f *Fanout) Stats() Stats {
	f.mu.Lock()
	topics, kept := len(f.topics), f.kept.Len()
	f.mu.Unlock()
	var held tail.Stats
	if f.tails != nil {
		held = f.tails.Stats()
	}
	return Stats{
		Topics:     topics,
		Kept:       kept,
		Upstream:   f.nc.NumSubscriptions(),
		Limit:      f.room.max,
		CatchingUp: int(f.catchingUp.Load()),
		Delivered:  f.delivered.Load(),
		Doubles:    f.doubles.Load(),
		Mended:     f.mended.Load(),
		Replayed:   f.replayed.Load(),
		Failed:     f.failed.Load(),
		Tail:       held,
		Hits:       f.hits.Load(),
		Misses:     f.misses.Load(),
		Recalled:   f.recalled.Load(),
	}
}

// serve delivers the messages of one shard.
func (f *Fanout) serve(shard <-chan *nats.Msg) {
	ms := make([]*nats.Msg, 0, maxRun)
	for {
		select {
		case m := <-shard:
			ms = batch(append(ms[:0], m), shard)
			f.pass(ms)
		case <-f.ctx.Done():
			return
		}
	}
}
