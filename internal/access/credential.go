package access

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/statuswire/statuswire/internal/link"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// key names a credential: the hash of the token, and the browser if that holds its
// grant alone. Of the token itself nothing is kept.
type key struct {
	hash    [sha256.Size]byte
	browser uint64
}

// Credential is a token that browsers have presented, and the one grant that it
// holds on this node: its browsers share the grant, and a further one needs
// no verdict for it.
//
// A regrant (access grows, shrinks or renews) is a fresh verdict; one at a time,
// each asking for what the grant before it had, so that none undoes another.
type Credential struct {
	access *Access
	key    key
	turn   chan struct{} // holds one value while a regrant is under way

	refs int // browsers and logins under way; guarded by Access.mu

	mu       sync.Mutex // guards what follows
	grant    *session.Grant
	uses     uses // of the grant's conversations
	browsers map[Browser]struct{}
	timer    *time.Timer
	link     *link.Kept       // nil unless links are kept
	ended    *refusal.Closing // the link has ended by itself

	// Reviews, see review.go.
	due      map[status.ConversationID]struct{} // to be reviewed; empty when none is scheduled
	reviewed time.Time                          // when the last one began
}

// need is what a caller of ensure wants of the grant.
type need struct {
	proof         session.Proof           // of the token; nil for none
	user          status.UserID           // whose it must be; "" for anybody's
	join          status.ConversationID   // else the callout denies all; "" for none
	conversations []status.ConversationID // to be covered, as far as they are the user's
	likely        []status.ConversationID // to be covered as well if a verdict is asked for, as far as there is room
	fresh         bool                    // ask again even if the grant held covers all
	paid          bool                    // a decision counts as a change of the grant, if the user is known
}

// renewLead is how long before its end a grant is renewed, if the token still holds.
const renewLead = 5 * time.Second

// credential finds or makes the credential of the token and counts the caller in. id is
// the browser's, which counts when it holds its grant alone.
func (a *Access) credential(token string, id uint64) *Credential {
	k := key{hash: sha256.Sum256([]byte(token))}
	if a.opts.KeepLinks {
		k.browser = id
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.credentials[k]
	if c == nil {
		c = &Credential{access: a, key: k, turn: make(chan struct{}, 1), browsers: map[Browser]struct{}{}}
		a.credentials[k] = c
	}
	c.refs++
	a.idle.remove(c)
	return c
}

// release counts one user out. What holds a grant is remembered for a while.
func (c *Credential) release() {
	a := c.access
	grant := c.Grant()
	worth := grant != nil && !grant.Expired(time.Now()) && c.key.browser == 0

	a.mu.Lock()
	defer a.mu.Unlock()
	c.refs--
	if c.refs > 0 {
		return
	}
	if !worth {
		a.dropLocked(c)
		return
	}
	for _, other := range a.idle.add(c, grant.User, grant.Bytes()) {
		a.dropLocked(other)
	}
}

// dropLocked forgets an idle credential; mu is held.
func (a *Access) dropLocked(c *Credential) {
	a.idle.remove(c)
	if a.credentials[c.key] == c {
		delete(a.credentials, c.key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.link != nil {
		c.link.Close()
	}
}

// dropIfIdle forgets the credential unless somebody uses it.
func (a *Access) dropIfIdle(c *Credential) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.refs > 0 {
		return false
	}
	a.dropLocked(c)
	return true
}

// forgetAll ends what is left after the last browser.
func (a *Access) forgetAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.credentials {
		a.dropLocked(c)
	}
}

// holders returns the credentials of now.
func (a *Access) holders() []*Credential {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.credentials))
}

// Grant is the one held now, nil for none.
func (c *Credential) Grant() *session.Grant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grant
}

// Attach makes b one of the browsers that share the grant, which b takes after it, and
// whenever it changes. Each browser that a credential was given for is attached, and
// detached once, when it ends.
func (c *Credential) Attach(b Browser) {
	c.mu.Lock()
	c.browsers[b] = struct{}{}
	ended := c.ended
	c.mu.Unlock()
	if ended != nil {
		b.Close(*ended)
	}
}

// Detach takes b out.
func (c *Credential) Detach(b Browser) {
	c.mu.Lock()
	delete(c.browsers, b)
	c.mu.Unlock()
	c.release()
}

func (c *Credential) attached() []Browser {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.browsers))
}

// ensure makes the grant cover what the caller needs, by a verdict if it does not
// yet. A denial is a *session.Denial; beside it there are *LimitedError and
// ErrGrantFull. The caller checks the grant afterwards: what the callout leaves out
// is no error here.
func (c *Credential) ensure(ctx context.Context, b Browser, login session.Login, n need) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.turn }()
	held := c.Grant()
	if held != nil && n.user == "" {
		n.user = held.User
	}
	if !n.fresh && n.metBy(held) {
		return nil
	}
	want, err := c.wanted(n)
	if err != nil {
		return err
	}
	if n.paid && n.user != "" {
		if err := c.access.pay(b, n.user); err != nil {
			return err
		}
	}
	login.Proof = n.proof
	changes := c.access.Changes()
	grant, kept, err := c.access.verdict(ctx, login, session.Ask{Join: n.join, Want: want})
	if err != nil {
		return err
	}
	if n.user != "" && grant.User != n.user {
		if kept != nil {
			kept.Close()
		}
		return &session.Denial{Reason: refusal.ReasonOtherUser, Final: true}
	}
	if kept != nil {
		c.keepLink(kept)
	}
	c.adopt(grant)
	if c.access.Changes() != changes {
		// Access changed while the callout decided: it may have seen the old state.
		c.reviewSoon(grant.Conversations)
	}
	return nil
}

func (n need) metBy(g *session.Grant) bool {
	return g != nil && !g.Expired(time.Now()) &&
		(n.user == "" || n.user == g.User) &&
		(n.join == "" || g.Covers(n.join)) &&
		!slices.ContainsFunc(n.conversations, func(id status.ConversationID) bool { return !g.Covers(id) })
}

// adopt replaces the grant, for every browser that shares it.
func (c *Credential) adopt(g *session.Grant) {
	c.mu.Lock()
	c.uses = c.uses.renewed(c.grant, g)
	c.grant = g
	c.armLocked()
	c.mu.Unlock()
	for _, b := range c.attached() {
		b.TakeGrant()
	}
}

func (c *Credential) closeAll(why refusal.Closing) {
	for _, b := range c.attached() {
		b.Close(why)
	}
}

// forget drops the grant: whoever logs in or asks for more is decided anew.
func (c *Credential) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked()
}

func (c *Credential) forgetLocked() {
	c.grant = nil
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// Forget drops the grants that the user's tokens hold here, so that the next login is
// decided anew. It ends no browser.
func (a *Access) Forget(user status.UserID) {
	for _, c := range a.holders() {
		if held := c.Grant(); held != nil && held.User == user {
			c.forget()
		}
	}
}
