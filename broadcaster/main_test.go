package broadcaster_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/noise"
	"github.com/statuswire/statuswire/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a directory in a map.
type memory struct {
	mu            sync.Mutex
	conversations map[status.ConversationID]directory.Conversation
	err           error                                        // answered instead, when not nil
	hold          func(context.Context, status.ConversationID) // called before each answer, when not nil
}

func (d *memory) Conversation(ctx context.Context, id status.ConversationID) (directory.Conversation, error) {
	d.mu.Lock()
	c, ok := d.conversations[id]
	err, hold := d.err, d.hold
	d.mu.Unlock()
	if hold != nil {
		hold(ctx, id)
	}
	if err != nil {
		return directory.Conversation{}, err
	}
	if !ok {
		return directory.Conversation{}, directory.ErrNotFound
	}
	return c, nil
}

func (d *memory) put(id status.ConversationID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conversations[id] = directory.Conversation{ID: id, Owner: "ann"}
}

func (d *memory) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// house is a server with a broadcaster, and the conversations c1 (with the
// category of its own "deploy") and c2.
type house struct {
	engine      *engine.Engine
	keys        *keys.Set
	dir         *memory
	nc          *nats.Conn // the broadcaster's
	broadcaster *broadcaster.Broadcaster
	log         *lines
}

func open(t testing.TB) *house {
	t.Helper()
	return openWith(t, broadcaster.Options{})
}

func openWith(t testing.TB, opts broadcaster.Options) *house {
	t.Helper()
	return openConfigured(t, opts, nil)
}

// openConfigured takes the text of nats.conf, nil for the shipped one.
func openConfigured(t testing.TB, opts broadcaster.Options, config []byte) *house {
	t.Helper()
	dir := t.TempDir()
	set, err := keys.Load(dir)
	check(t, err)
	h := &house{keys: set, log: &lines{}, dir: &memory{conversations: map[status.ConversationID]directory.Conversation{
		"c1": {ID: "c1", Owner: "ann", Categories: []status.Category{"deploy"}},
		"c2": {ID: "c2", Owner: "ben"},
	}}}
	h.engine, err = engine.New(engine.Options{Listen: "127.0.0.1:0", StoreDir: dir, Keys: set, Config: config})
	check(t, err)
	check(t, h.engine.Start(t.Context()))
	t.Cleanup(func() { check(t, h.engine.Stop(soon(t))) })
	nc, err := h.engine.Connect(engine.PartBroadcaster)
	check(t, err)
	t.Cleanup(nc.Close)
	h.nc = nc
	// As in the process: what a publisher that has run wild writes is bounded there.
	opts.Logger = slog.New(noise.New(slog.NewTextHandler(h.log, nil), noise.Options{}))
	h.broadcaster, err = broadcaster.New(nc, h.dir, opts)
	check(t, err)
	check(t, h.broadcaster.Start(t.Context()))
	t.Cleanup(func() { check(t, h.broadcaster.Stop(soon(t))) })
	return h
}

// service connects over TCP as services do, operator as the nats CLI does.
func (h *house) service(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return h.dial(t, h.keys.Service, opts...)
}

func (h *house) operator(t testing.TB) *nats.Conn {
	t.Helper()
	return h.dial(t, h.keys.Operator, nats.CustomInboxPrefix(status.InboxOperator))
}

// listen subscribes as an operator; it returns when the server knows.
func (h *house) listen(t testing.TB, subject string) *nats.Subscription {
	t.Helper()
	nc := h.operator(t)
	sub, err := nc.SubscribeSync(subject)
	check(t, err)
	check(t, nc.Flush())
	return sub
}

func (h *house) dial(t testing.TB, kp nkeys.KeyPair, opts ...nats.Option) *nats.Conn {
	t.Helper()
	public, err := kp.PublicKey()
	check(t, err)
	nc, err := nats.Connect(h.engine.ClientURL(), append([]nats.Option{nats.Nkey(public, kp.Sign)}, opts...)...)
	check(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within 10 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
