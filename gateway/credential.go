package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// credentialKey names a credential: the hash of the token, and the socket if
// that holds its grant alone.
type credentialKey struct {
	hash   [sha256.Size]byte
	socket uint64
}

// credential is a token that browsers have presented, and the one grant that it
// holds on this node: its sockets share the grant, and a further socket needs
// no callout for it.
//
// A regrant (access grows, shrinks or renews) is a fresh verdict; one at a time,
// each asking for what the grant before it had, so that none undoes another.
type credential struct {
	gateway *Gateway
	key     credentialKey
	turn    chan struct{} // holds one value while a regrant is under way

	refs int // sockets and logins under way; guarded by Gateway.mu

	mu      sync.Mutex // guards what follows
	grant   *session.Grant
	uses    uses // of the grant's conversations
	sockets map[*socket]struct{}
	timer   *time.Timer

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

// Bounds of what is held for tokens.
const (
	// maxConversations is how many conversations one grant may cover.
	maxConversations = session.MaxConversations
	// renewLead is how long before its end a grant is renewed, if the token
	// still holds.
	renewLead = 5 * time.Second
)

// credential finds or makes the credential and counts the caller in.
func (g *Gateway) credential(key credentialKey) *credential {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.credentials[key]
	if c == nil {
		c = &credential{gateway: g, key: key, turn: make(chan struct{}, 1), sockets: map[*socket]struct{}{}}
		g.credentials[key] = c
	}
	c.refs++
	g.idle.remove(c)
	return c
}

// release counts one user out. What holds a grant is remembered for a while.
func (c *credential) release() {
	g := c.gateway
	grant := c.current()
	worth := grant != nil && !grant.Expired(time.Now()) && c.key.socket == 0

	g.mu.Lock()
	defer g.mu.Unlock()
	c.refs--
	if c.refs > 0 {
		return
	}
	if !worth || g.stopping {
		g.dropLocked(c)
		return
	}
	for _, other := range g.idle.add(c, grant.User, grant.Bytes()) {
		g.dropLocked(other)
	}
}

// dropLocked forgets an idle credential; g.mu is held.
func (g *Gateway) dropLocked(c *credential) {
	g.idle.remove(c)
	if g.credentials[c.key] == c {
		delete(g.credentials, c.key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// dropIfIdle forgets the credential unless somebody uses it.
func (g *Gateway) dropIfIdle(c *credential) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.refs > 0 {
		return false
	}
	g.dropLocked(c)
	return true
}

// forgetCredentials ends what is left after the last socket.
func (g *Gateway) forgetCredentials() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.credentials {
		g.dropLocked(c)
	}
}

// attach makes s one of the sockets that share the grant. It is false when the
// grant has been taken back since the caller ensured it.
func (c *credential) attach(s *socket) bool {
	c.mu.Lock()
	c.sockets[s] = struct{}{}
	c.mu.Unlock()
	s.mu.Lock()
	s.credential = c
	s.mu.Unlock()
	return s.takeGrant()
}

// detach takes s out and counts it out.
func (c *credential) detach(s *socket) {
	c.mu.Lock()
	delete(c.sockets, s)
	c.mu.Unlock()
	c.release()
}

// takeBack forgets the grant, unless a socket holds it already.
func (c *credential) takeBack() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sockets) > 0 {
		return false
	}
	c.grant = nil
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	return true
}

func (c *credential) current() *session.Grant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grant
}

// ensure makes the grant cover what the caller needs, by a verdict if it does not
// yet. A denial is a *session.Denial; beside it there are *grantLimited and
// errGrantFull. The caller checks the grant afterwards: what the callout leaves out
// is no error here.
func (c *credential) ensure(ctx context.Context, s *socket, opts connectOptions, n need) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.turn }()
	held := c.current()
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
		if err := c.gateway.changeGrant(s, n.user); err != nil {
			return err
		}
	}
	changes := c.gateway.reviews.changes.Load()
	grant, kept, err := c.gateway.verdict(ctx, s.asLogin(opts, n.proof), session.Ask{Join: n.join, Want: want})
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
		s.keepLink(kept)
	}
	c.adopt(grant)
	if c.gateway.reviews.changes.Load() != changes {
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

func (c *credential) attached() []*socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.sockets))
}

// adopt replaces the grant, for every socket that shares it.
func (c *credential) adopt(g *session.Grant) {
	c.mu.Lock()
	c.uses = c.uses.renewed(c.grant, g)
	c.grant = g
	c.armLocked()
	c.mu.Unlock()
	for _, s := range c.attached() {
		s.takeGrant()
	}
}

// armLocked sets the clock for the grant's renewal, or its end; mu is held.
func (c *credential) armLocked() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if c.grant.Expires.IsZero() {
		return
	}
	left := expiresIn(c.grant.Expires, time.Now())
	g := c.grant
	if left > 2*renewLead {
		c.timer = time.AfterFunc(left-renewLead, func() { c.renew(g) })
		return
	}
	c.timer = time.AfterFunc(left, func() { c.expire(g) })
}

// renew asks for a later end. If the token itself ends then, the answer is no
// later, and the clock runs on to the end.
func (c *credential) renew(old *session.Grant) {
	if c.gateway.dropIfIdle(c) || c.current() != old {
		return
	}
	err := c.regrant()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.grant == old {
		c.timer = time.AfterFunc(expiresIn(old.Expires, time.Now()), func() { c.expire(old) })
	}
}

// regrant asks the callout again with what the grant has now, on behalf of any
// of the sockets.
func (c *credential) regrant() error {
	sockets := c.attached()
	if len(sockets) == 0 {
		return errNoSocket
	}
	s := sockets[0]
	ctx, cancel := context.WithTimeout(s.ctx, c.gateway.opts.LoginTimeout)
	defer cancel()
	return c.ensure(ctx, s, s.loginOptions(), need{fresh: true})
}

var (
	errNoSocket  = errors.New("no socket is left")
	errGrantFull = errors.New("what is needed and in use is more than a grant may cover")
)

// grantLimited is the error of a change of the grant that the limit does not let pass.
type grantLimited struct{ limit.Verdict }

func (l *grantLimited) Error() string { return refusal.ReasonTooManyGrantChanges(l.Verdict) }

// expire ends the sockets whose grant is over.
func (c *credential) expire(old *session.Grant) {
	if c.gateway.dropIfIdle(c) || c.current() != old {
		return
	}
	c.closeAll(refusal.CloseExpired())
}

func (c *credential) closeAll(why refusal.Closing) {
	for _, s := range c.attached() {
		s.close(why)
	}
}
