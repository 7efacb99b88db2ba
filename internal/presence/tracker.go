package presence

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/status"
)

// Tracker is the presence of one node. New makes it, Start and Stop are its one
// life. Safe for concurrent use.
type Tracker struct {
	opts Options
	wire wire
	wake chan struct{} // something changed that step should see
	halt chan struct{} // closed by Stop
	done chan struct{} // closed when run has ended

	mu       sync.Mutex // guards what follows
	state    *machine
	used     bool // Start or Stop was called
	started  bool
	stopped  bool
	received uint64
	invalid  uint64
}

// wire is what the tracker needs of a NATS connection. listen hands over what
// comes on the subject until the returned function is called.
type wire interface {
	listen(subject string) (<-chan *nats.Msg, func() error, error)
	publish(subject string, data []byte) error
	flush(ctx context.Context) error
}

// New checks the options and starts nothing. nc must be allowed to publish
// presence.* and presence.node.*, and to subscribe to presence.node.*. With
// nats.NoEcho it is spared its own messages; it does not need them.
func New(nc *nats.Conn, opts Options) (*Tracker, error) {
	if nc == nil {
		return nil, errors.New("presence: the connection is required")
	}
	if opts.Node == "" {
		opts.Node = nc.ConnectedServerName()
	}
	return newTracker(natsWire{nc}, opts)
}

func newTracker(w wire, opts Options) (*Tracker, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.Node == "" {
		return nil, errors.New("presence: a node needs a name: the connection has none to take over")
	}
	opts = opts.withDefaults()
	return &Tracker{
		opts: opts, wire: w,
		wake:  make(chan struct{}, 1),
		halt:  make(chan struct{}),
		done:  make(chan struct{}),
		state: newMachine(opts.Node, uint64(time.Now().UnixMicro()), opts),
	}, nil
}

// Start returns when this node hears the others and has said that it is there. It
// announces nothing for another Options.Settle. The context is for starting only.
func (t *Tracker) Start(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.used {
		return ErrStarted
	}
	t.used = true
	in, unlisten, err := t.wire.listen(nodeSubjects)
	if err != nil {
		return fmt.Errorf("presence: subscribe to %s: %w", nodeSubjects, err)
	}
	if err := t.wire.flush(ctx); err != nil {
		return errors.Join(fmt.Errorf("presence: subscribe to %s: %w", nodeSubjects, err), unlisten())
	}
	t.state.start(time.Now())
	t.started = true
	go t.run(in, unlisten) // ends with t.halt
	return nil
}

// Stop says bye to the other nodes and returns when the tracker's goroutine has
// ended. The gateways should have left by then. Of the last node it says that
// nobody is present any more; of others the members count until the grace is over.
func (t *Tracker) Stop(ctx context.Context) error {
	t.mu.Lock()
	started, first := t.started, !t.stopped
	t.used, t.stopped = true, true
	t.mu.Unlock()
	if first {
		close(t.halt)
	}
	if !started {
		return nil
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		return fmt.Errorf("presence: stop: %w", ctx.Err())
	}
	if !first {
		return nil
	}
	t.mu.Lock()
	out := t.state.bye(time.Now())
	t.mu.Unlock()
	t.publish(out)
	if err := t.wire.flush(ctx); err != nil {
		return fmt.Errorf("presence: stop: %w", err)
	}
	return nil
}

// Join counts a connection in: it has its first subscription in the conversation.
// conn is the connection's number, unique on this node. Joining twice is joining
// once. It does not wait.
func (t *Tracker) Join(c status.ConversationID, u status.UserID, conn uint64) {
	t.change(func(now time.Time) { t.state.join(now, key{c, u}, conn) })
}

// Leave counts a connection out: its last subscription in the conversation has
// ended. It goes on to be shown for Options.Grace. Leaving without having joined, or
// twice, changes nothing. It does not wait.
func (t *Tracker) Leave(c status.ConversationID, u status.UserID, conn uint64) {
	t.change(func(now time.Time) { t.state.leave(now, key{c, u}, conn) })
}

func (t *Tracker) change(do func(now time.Time)) {
	t.mu.Lock()
	if !t.stopped {
		do(time.Now())
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default: // it will see this one too
	}
}

// List returns who is present in the conversation, on all nodes, in the order of
// their arrival. It is never nil.
func (t *Tracker) List(c status.ConversationID) []Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.view.list(c)
}

// Stats are counts of a tracker.
type Stats struct {
	// Ready: this node announces its share of the conversations.
	Ready bool `json:"ready"`
	// Nodes are the known ones, this one included.
	Nodes int `json:"nodes"`
	// Conversations with somebody present and Members in them, on all nodes: a user
	// counts once in each conversation.
	Conversations int `json:"conversations"`
	Members       int `json:"members"`
	// Connections of this node, once for each conversation, without those that left.
	Connections int `json:"connections"`
	// Announced by this node on presence.<c>, since New, as what follows.
	Announced uint64 `json:"announced"`
	// Received messages of nodes, and those of them that made no sense.
	Received uint64 `json:"received"`
	Invalid  uint64 `json:"invalid"`
	// Overflow counts what was left out because of MaxMembers and MaxNodes.
	Overflow uint64 `json:"overflow"`
}

// Stats returns the counts of now.
func (t *Tracker) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.state
	return Stats{
		Ready:         m.ready,
		Nodes:         len(m.peers) + 1,
		Conversations: len(m.view.present),
		Members:       m.view.users,
		Connections:   m.local.connections,
		Announced:     m.told.sent,
		Received:      t.received,
		Invalid:       t.invalid,
		Overflow:      m.overflow,
	}
}

// run receives, and does what is due, until Stop.
func (t *Tracker) run(in <-chan *nats.Msg, unlisten func() error) {
	defer close(t.done)
	defer func() {
		if err := unlisten(); err != nil {
			t.opts.Logger.Warn("presence: unsubscribe", "error", err)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-t.halt:
			return
		case m := <-in:
			t.receive(m)
		case <-t.wake:
		case <-timer.C:
		}
		timer.Reset(t.step())
	}
}

// step publishes what is due and returns how long until there is more.
func (t *Tracker) step() time.Duration {
	now := time.Now()
	t.mu.Lock()
	out, next := t.state.step(now)
	t.mu.Unlock()
	t.publish(out)
	return time.Until(next) // a snapshot is always due some time
}

func (t *Tracker) publish(out []outgoing) {
	for _, o := range out {
		if err := t.wire.publish(o.subject, encode(o.body)); err != nil {
			t.opts.Logger.Warn("presence: publish", "subject", o.subject, "error", err)
		}
	}
}

// receive takes what came from a node, this one too if the connection echoes.
func (t *Tracker) receive(m *nats.Msg) {
	msg, err := decode(m.Subject, m.Data)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.received++
	if err != nil {
		t.invalid++
		t.opts.Logger.Warn("presence: a message of a node makes no sense", "subject", m.Subject, "error", err)
		return
	}
	nodes, clashes := len(t.state.peers), t.state.clashes
	t.state.receive(time.Now(), msg)
	if len(t.state.peers) > nodes {
		t.opts.Logger.Info("presence: a node appeared", "node", msg.Node)
	}
	if t.state.clashes > clashes {
		t.opts.Logger.Warn("presence: another node has this node's name: give each its own server_name in nats.conf", "node", msg.Node)
	}
}
