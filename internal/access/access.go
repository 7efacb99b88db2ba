package access

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Browser is a browser's connection, whose grant a Credential holds. The methods may be
// called from any goroutine, and must not wait.
type Browser interface {
	// TakeGrant has the credential's grant of now be in force. It is false when there
	// is none.
	TakeGrant() bool
	// Close ends the connection.
	Close(why refusal.Closing)
	// AddUsed adds the conversations that it has subscriptions or requests in.
	AddUsed(used map[status.ConversationID]struct{})
	// Likely are the conversations in which it will probably go on, if it is the user's.
	Likely(u status.UserID) []status.ConversationID
	// Resize tells which categories a conversation has now.
	Resize(c status.ConversationID, categories []string)
	// Login is the browser as it has logged in.
	Login() session.Login
	// Context ends with the connection.
	Context() context.Context
	// Counted hears of a limit that was hit and does not refuse, in dry-run.
	Counted(v limit.Verdict)
}

// Directory says who may see a conversation.
type Directory interface {
	// Admits is true when the user may see the conversation, false when not or
	// when there is none; an error when that cannot be said just now.
	Admits(ctx context.Context, c status.ConversationID, u status.UserID) (bool, error)
	// Categories are the categories that the conversation has now.
	Categories(ctx context.Context, c status.ConversationID) ([]status.Category, error)
}

// Screen looks at a token before a verdict is asked for.
type Screen interface {
	// Screen returns the proof that the token is good, or the denial that a login with
	// it would get whatever it asks for. It gives up when ctx ends.
	Screen(ctx context.Context, token string) (session.Proof, *session.Denial)
}

// Deps are the parts that it works with.
type Deps struct {
	// Verdicts decide about logins; with Options.KeepLinks Links do. The other may be
	// nil.
	Verdicts  Verdicts
	Links     Links
	Directory Directory
	// Screen may be nil: then a verdict is asked for each token, and an address that
	// has failed too often has to wait with all its tokens.
	Screen Screen
}

// Options are its settings. All are required.
type Options struct {
	KeepLinks      bool          // each browser has a link of its own, and its grant alone
	MaxTokenBytes  int           // longer tokens are refused
	VerdictTimeout time.Duration // for one verdict
	LoginTimeout   time.Duration // for a login, a join or a renewal, with the wait for its turn
	MaxVerdicts    int           // that are waited for at the same time
	GrantChanges   limit.Rule    // login decisions that a user may cause a minute
	Idle           IdleOptions   // bounds of what is kept without a browser
	Logger         *slog.Logger
}

// Access holds the credentials of a node. Safe for concurrent use.
type Access struct {
	deps Deps
	opts Options

	slots   chan struct{}                 // holds a value for each verdict that is waited for
	changes *limit.Windows[status.UserID] // login decisions that each user causes
	reviews *reviews
	asked   atomic.Uint64 // verdicts

	mu          sync.Mutex // guards what follows
	credentials map[key]*Credential
	idle        *idleGrants

	ctx     context.Context // ends when Stop gives up waiting
	cancel  context.CancelFunc
	running sync.WaitGroup // reviews, and links that are kept

	life    sync.Mutex // guards stopped
	stopped bool       // nothing is begun any more
}

// Stats counts what is held now, and what was asked for so far.
type Stats struct {
	Credentials int    // tokens whose grant is held
	IdleGrants  int    // of them, those without a browser
	IdleBytes   int    // that these take
	Verdicts    uint64 // asked for
}

// New makes one. It starts nothing.
func New(deps Deps, opts Options) *Access {
	a := &Access{
		deps:        deps,
		opts:        opts,
		slots:       make(chan struct{}, opts.MaxVerdicts),
		changes:     limit.NewWindows[status.UserID](limit.GrantChanges, opts.GrantChanges, limit.GrantChangesPeriod),
		credentials: map[key]*Credential{},
		idle:        newIdleGrants(opts.Idle),
	}
	a.reviews = newReviews(a)
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Start begins to review.
func (a *Access) Start() { a.goes(a.reviews.run) }

// Stop forgets all that is held, when nothing is under way any more, at the latest when
// ctx ends. The browsers must have gone, or be about to. Stopping twice, or without
// Start, is fine.
func (a *Access) Stop(ctx context.Context) {
	a.reviews.stop()
	a.life.Lock()
	a.stopped = true
	a.life.Unlock()
	stop := context.AfterFunc(ctx, a.cancel)
	a.running.Wait()
	stop()
	a.cancel()
	a.forgetAll()
}

// goes runs f unless it is too late for that.
func (a *Access) goes(f func()) {
	a.life.Lock()
	defer a.life.Unlock()
	if !a.stopped {
		a.running.Go(f)
	}
}

// Patience is ctx for what a login, a join or a renewal may take in all.
func (a *Access) Patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.opts.LoginTimeout)
}

// Stats returns the counts of now.
func (a *Access) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Stats{
		Credentials: len(a.credentials),
		IdleGrants:  a.idle.order.Len(),
		IdleBytes:   a.idle.bytes,
		Verdicts:    a.asked.Load(),
	}
}

// Categories are those of the conversation; for one that the directory cannot
// tell of, as with grants of another callout, the default ones.
func (a *Access) Categories(ctx context.Context, c status.ConversationID) []string {
	all, err := a.deps.Directory.Categories(ctx, c)
	if err != nil {
		all = status.DefaultCategories()
	}
	names := make([]string, len(all))
	for i, category := range all {
		names[i] = string(category)
	}
	return names
}

// GrantChanges is where the user's login decisions stand.
func (a *Access) GrantChanges(now time.Time, u status.UserID) limit.Usage {
	return a.changes.Usage(now, u)
}
