package access_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// rig is an Access whose verdicts and whose directory the test steers. A token is the
// user's name, with anything behind a slash.
type rig struct {
	t *testing.T
	*access.Access

	mu       sync.Mutex      // guards what follows
	members  map[string]bool // "c1 alice"
	broken   error           // what the directory and the verdicts say instead
	denied   *session.Denial // what a verdict says instead
	lifetime time.Duration   // of a grant; 0 for no end
	asked    []session.Ask
	deciding func() // called before a verdict is given
}

func newRig(t *testing.T, change ...func(*access.Options, *access.Deps)) *rig {
	t.Helper()
	r := &rig{t: t, members: map[string]bool{}}
	opts := access.Options{
		MaxTokenBytes: 100, VerdictTimeout: time.Minute, LoginTimeout: time.Minute, MaxVerdicts: 4,
		GrantChanges: limit.Rule{Value: 1000}, Idle: access.IdleOptions{}.WithDefaults(), Logger: slog.New(slog.DiscardHandler),
	}
	deps := access.Deps{Verdicts: r, Directory: r}
	for _, f := range change {
		f(&opts, &deps)
	}
	r.Access = access.New(deps, opts)
	r.Start()
	t.Cleanup(func() { r.Stop(context.Background()) })
	return r
}

func userOf(token string) status.UserID {
	user, _, _ := strings.Cut(token, "/")
	return status.UserID(user)
}

// member sets whether the user may see the conversation.
func (r *rig) member(c status.ConversationID, user string, is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[string(c)+" "+user] = is
}

func (r *rig) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *rig) verdicts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

func (r *rig) lastAsk() session.Ask {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[len(r.asked)-1]
}

// Admits implements access.Directory.
func (r *rig) Admits(_ context.Context, c status.ConversationID, u status.UserID) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members[string(c)+" "+string(u)], r.broken
}

// Categories implements access.Directory.
func (r *rig) Categories(context.Context, status.ConversationID) ([]status.Category, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return []status.Category{"engine", "tool"}, r.broken
}

// Decide implements access.Verdicts.
func (r *rig) Decide(_ context.Context, login session.Login, ask session.Ask) (*session.Grant, error) {
	r.mu.Lock()
	before := r.deciding
	r.mu.Unlock()
	if before != nil {
		before()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, ask)
	switch {
	case r.denied != nil:
		return nil, r.denied
	case r.broken != nil:
		return nil, r.broken
	}
	user := userOf(login.Token)
	claims := jwt.NewUserClaims("U")
	claims.Name = string(user)
	if r.lifetime > 0 {
		claims.Expires = time.Now().Add(r.lifetime).Unix()
	}
	claims.Sub.Allow.Add("_INBOX.>")
	for _, c := range append(slices.Clone(ask.Want), ask.Join) {
		if r.members[string(c)+" "+string(user)] {
			claims.Sub.Allow.Add(status.ConversationSubjects(c))
		}
	}
	return session.GrantOf(claims)
}

// browser is a connection, and what became of it.
type browser struct {
	rig    *rig
	id     uint64
	token  string
	cred   *access.Credential
	ctx    context.Context
	fails  limit.Verdict // what MayFail says
	likely []status.ConversationID

	mu      sync.Mutex // guards what follows
	grant   *session.Grant
	closed  []refusal.Closing
	used    map[status.ConversationID]struct{}
	resized []status.ConversationID
	counted []limit.Verdict
	failed  int
}

func (r *rig) browser(id uint64, token string) *browser {
	return &browser{rig: r, id: id, token: token, ctx: r.t.Context(), used: map[status.ConversationID]struct{}{}}
}

// login logs in and attaches.
func (b *browser) login(join status.ConversationID) error {
	cred, err := b.rig.Access.Login(b.ctx, b, b.id, b, b.Login(), join)
	if err != nil {
		return err
	}
	b.attach(cred)
	return nil
}

func (b *browser) attach(cred *access.Credential) {
	b.mu.Lock()
	b.cred = cred
	b.mu.Unlock()
	cred.Attach(b)
	b.TakeGrant()
}

// in logs a browser in, which must succeed.
func (r *rig) in(id uint64, token string) *browser {
	r.t.Helper()
	b := r.browser(id, token)
	must(r.t, b.login(""))
	return b
}

func (b *browser) join(c status.ConversationID) error {
	if r := b.rig.MayJoin(b.ctx, c, userOf(b.token), b.cred, false); r.Is() {
		return errors.New(r.Reason)
	}
	return b.cred.Join(b.ctx, b, c, false)
}

func (b *browser) use(c status.ConversationID) {
	b.mu.Lock()
	b.used[c] = struct{}{}
	b.mu.Unlock()
	b.cred.Touch(c)
}

func (b *browser) covers(c status.ConversationID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.grant != nil && b.grant.Covers(c)
}

// why is the first reason that it was closed for; "" when it is open.
func (b *browser) why() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.closed) == 0 {
		return ""
	}
	return b.closed[0].Reason
}

// TakeGrant implements access.Browser.
func (b *browser) TakeGrant() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.cred.Grant()
	if g == nil {
		return false
	}
	b.grant = g
	return true
}

func (b *browser) Close(why refusal.Closing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = append(b.closed, why)
}

func (b *browser) AddUsed(used map[status.ConversationID]struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.Copy(used, b.used)
}

func (b *browser) Likely(status.UserID) []status.ConversationID { return b.likely }

func (b *browser) Resize(c status.ConversationID, _ []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resized = append(b.resized, c)
}

func (b *browser) Login() session.Login     { return session.Login{Token: b.token} }
func (b *browser) Context() context.Context { return b.ctx }

func (b *browser) Counted(v limit.Verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counted = append(b.counted, v)
}

// MayFail implements access.Tries.
func (b *browser) MayFail() limit.Verdict { return b.fails }

// Failed implements access.Tries.
func (b *browser) Failed() { b.failed++ }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
