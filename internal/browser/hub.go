package browser

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/internal/rounds"
	"github.com/statuswire/statuswire/status"
)

// Presence hears who has a subscription in which conversation. It does not wait.
type Presence interface {
	Join(c status.ConversationID, u status.UserID, connection uint64)
	Leave(c status.ConversationID, u status.UserID, connection uint64)
}

// Deps are the parts that browsers work with.
type Deps struct {
	Access *access.Access
	Fanout *fanout.Fanout
	Relay  *relay.Relay
	// Marks may be nil: then no connection is resumable.
	Marks *mark.Store
	// Presence, Audit and Metrics may be nil: then nobody hears.
	Presence Presence
	Audit    *audit.Recorder
	Metrics  *metrics.Metrics
}

// Options are the settings of a Hub. All are required, but for CloseSpread.
type Options struct {
	Limits          limit.Options // of a connection and a user; a grant may say otherwise
	MaxQueueBytes   int           // that wait for a browser
	Stall           time.Duration // longest time that one write of these may take
	MaxRequests     int           // of a browser that wait for an answer
	FlushTimeout    time.Duration // for the server to have the interest of a subscription
	SettleTimeout   time.Duration // for one whose access has ended to get what was stored before
	ReceiptInterval time.Duration // between two questions what a resumable browser has, at least
	CloseSpread     time.Duration // over which Stop spreads its closes
	Logger          *slog.Logger
}

// Hub is what the browsers of a node share. Safe for concurrent use.
type Hub struct {
	deps Deps
	opts Options

	changes  *limit.Changes           // subscription changes of each user
	receipts *rounds.Rounds[*Browser] // of those that are resumable

	mu       sync.Mutex // guards what follows
	browsers map[*Browser]struct{}
	stopping bool

	ctx     context.Context // ends when Stop gives up waiting
	cancel  context.CancelFunc
	running sync.WaitGroup // one for each browser, and what they leave behind

	lastID     atomic.Uint64
	slowCloses atomic.Uint64
	shed       atomic.Uint64
	resumed    atomic.Uint64
}

// Stats counts what a hub holds now, and what it did since it was made.
type Stats struct {
	Browsers   int    // connections that are open
	SlowCloses uint64 // of them closed because they read too slowly
	Shed       uint64 // statuses of low priority left out because a browser was slow
	Sheltered  int    // bytes that wait for slow browsers
	Resumed    uint64 // subscriptions that went on where an earlier connection was
}

// NewHub makes a hub. It starts nothing.
func NewHub(deps Deps, opts Options) *Hub {
	h := &Hub{
		deps: deps, opts: opts, browsers: map[*Browser]struct{}{},
		changes: limit.NewChanges(), receipts: rounds.New(opts.ReceiptInterval, (*Browser).askReceipt),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Start begins to ask for receipts.
func (h *Hub) Start() { h.running.Go(h.receipts.Run) }

// Stop refuses new browsers, closes the open ones over Options.CloseSpread, and
// returns when all have ended or ctx has. Stopping twice, or without Start, is fine.
func (h *Hub) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stopping = true
	h.mu.Unlock()
	open := h.all()
	h.closeSpread(ctx, open)
	h.receipts.Stop()
	defer h.cancel()
	done := make(chan struct{})
	go func() { h.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	err := fmt.Errorf("%d browsers are still there: %w", h.Stats().Browsers, ctx.Err())
	for _, b := range open {
		b.abort()
	}
	h.cancel()
	<-done
	return err
}

// closeSpread tells every browser to go, a few at a time.
func (h *Hub) closeSpread(ctx context.Context, open []*Browser) {
	const steps = 20
	pause := h.opts.CloseSpread / steps
	for i, b := range open {
		b.Close(refusal.CloseStopping())
		if i%(len(open)/steps+1) != 0 || i == len(open)-1 {
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			pause = 0
		}
	}
}

// Serve has the browser live, in a goroutine of its own, until it ends: so the HTTP
// server's, with its stack and buffers, is gone meanwhile. It is false, and the browser
// is the caller's still, when the hub is not serving.
func (h *Hub) Serve(b *Browser) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return false
	}
	h.browsers[b] = struct{}{}
	h.running.Go(b.serve)
	return true
}

func (h *Hub) remove(b *Browser) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.browsers, b)
}

// all returns the browsers of now.
func (h *Hub) all() []*Browser {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.browsers))
}

// IsStopping is true once Stop has begun.
func (h *Hub) IsStopping() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopping
}

// Stats returns the counts of now.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	st := Stats{
		Browsers: len(h.browsers), SlowCloses: h.slowCloses.Load(), Shed: h.shed.Load(), Resumed: h.resumed.Load(),
	}
	for b := range h.browsers {
		st.Sheltered += b.out.Backlog()
	}
	return st
}
