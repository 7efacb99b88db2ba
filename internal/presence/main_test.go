package presence_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon bounds what a test waits for.
const soon = 20 * time.Second

func startEngine(t *testing.T) (*engine.Engine, *keys.Set) {
	t.Helper()
	set, err := keys.Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Listen: "127.0.0.1:0", StoreDir: t.TempDir(), Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e.Stop) })
	return e, set
}

func connect(t *testing.T, e *engine.Engine, part engine.Part) *nats.Conn {
	t.Helper()
	nc, err := e.Connect(part, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		t.Errorf("the connection of %s: %v", part, err)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func startTracker(t *testing.T, nc *nats.Conn, opts presence.Options) *presence.Tracker {
	t.Helper()
	p, err := presence.New(nc, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p.Stop) })
	return p
}

func stop(t *testing.T, stop func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := stop(ctx); err != nil {
		t.Error(err)
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// bus is a network in the memory, for a time that is not real. What it carries is
// what core NATS carries.
type bus struct {
	mu    sync.Mutex // guards what follows
	heard []heard
	ears  map[chan *nats.Msg]string
}

type heard struct {
	at      time.Time
	subject string
	data    []byte
}

func (b *bus) Listen(subject string) (<-chan *nats.Msg, func() error, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := make(chan *nats.Msg, 1000)
	if b.ears == nil {
		b.ears = map[chan *nats.Msg]string{}
	}
	b.ears[in] = strings.TrimSuffix(subject, "*")
	return in, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.ears, in)
		return nil
	}, nil
}

func (b *bus) Publish(subject string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, heard{time.Now(), subject, data})
	for in, prefix := range b.ears {
		if strings.HasPrefix(subject, prefix) {
			in <- &nats.Msg{Subject: subject, Data: data}
		}
	}
	return nil
}

func (b *bus) Flush(context.Context) error { return nil }

// announcements returns what was announced of a conversation, and forgets it.
func (b *bus) announcements(t *testing.T, c string) (all []presence.Announcement) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []heard
	for _, h := range b.heard {
		if h.subject != "presence."+c {
			rest = append(rest, h)
			continue
		}
		var a presence.Announcement
		if err := json.Unmarshal(h.data, &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	b.heard = rest
	return all
}
