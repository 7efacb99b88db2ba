package limit

import (
	"container/list"
	"sync"
	"time"
)

// MaxIdleUsers is how many users without a connection Changes remembers, each
// for RestorePeriod. Above it the one that left first is forgotten: its next
// connection starts with nothing counted and nothing to restore.
const MaxIdleUsers = 65536

// Changes counts the subscription changes of each user over all of the user's
// connections on this node: at most so many in any ChangesPeriod. A SUB and an
// UNSUB of a status subject are a change each; only SUB is refused, and one that
// was refused is not counted.
//
// Restoring after a reconnect is free: Close remembers what the connection
// held, and within RestorePeriod each of it may be subscribed to once more
// without being counted, on any connection of the user. Each counted SUB meanwhile
// takes the place of one that could be restored, so another set is never free.
//
//	            Open            Close(set)          RestorePeriod
//	(unknown) ───────▶ in use ───────────▶ idle ─────────────────▶ (forgotten)
//	                     ▲ └──── Open ──────┘
//
// Safe for concurrent use.
type Changes struct {
	mu    sync.Mutex // guards what follows and the table fields of each user
	users map[string]*user
	idle  *list.List // of *user, the one that left first in front
}

type user struct {
	name string
	// Guarded by Changes.mu.
	open   int           // connections
	idle   *list.Element // nil while in use
	idleAt time.Time

	start time.Time // moments count from here

	mu     sync.Mutex // guards what follows
	latest time.Duration
	keep   int // how many moments the largest limit asked about needs
	log    recent
	left   remembered
}

// NewChanges returns Changes that know nobody.
func NewChanges() *Changes {
	return &Changes{users: map[string]*user{}, idle: list.New()}
}

// Open enters a connection of the user. The caller closes it.
func (c *Changes) Open(now time.Time, name string, rule Rule) *ChangeMeter {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pruneLocked(now)
	u := c.users[name]
	if u == nil {
		u = &user{name: name, start: now}
		c.users[name] = u
	}
	if u.idle != nil {
		c.idle.Remove(u.idle)
		u.idle = nil
	}
	u.open++
	return &ChangeMeter{changes: c, user: u, rule: rule}
}

// Prune forgets the users of whom nothing counts any more. Open does it too, so
// it is for those who want the memory back while nobody comes.
func (c *Changes) Prune(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pruneLocked(now)
}

func (c *Changes) pruneLocked(now time.Time) {
	for e := c.idle.Front(); e != nil; e = c.idle.Front() {
		u := e.Value.(*user)
		if c.idle.Len() <= MaxIdleUsers && now.Sub(u.idleAt) < RestorePeriod {
			return
		}
		c.idle.Remove(e)
		delete(c.users, u.name)
	}
}

// Users is how many users are known, with a connection or not.
func (c *Changes) Users() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.users)
}

func (c *Changes) leave(now time.Time, u *user) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u.open--; u.open == 0 {
		u.idleAt = now
		u.idle = c.idle.PushBack(u)
		c.pruneLocked(now)
	}
}

// ChangeMeter is one connection's hold on its user's count. Safe for concurrent use.
type ChangeMeter struct {
	changes *Changes
	user    *user
	rule    Rule // guarded by user.mu, as closed
	closed  bool
}

// SetRule has another limit hold for this connection from now on, as a new grant
// may say. Connections of one user may have different ones: what is counted is
// the same, each is held to its own.
func (m *ChangeMeter) SetRule(rule Rule) {
	m.user.mu.Lock()
	defer m.user.mu.Unlock()
	m.rule = rule
}

// Sub asks for a SUB of each subject, all or none of them, and counts those that
// restore nothing unless the Verdict is Refused. It is Free when none was counted.
// A subject stands for the subscription: what is restored is compared with it.
func (m *ChangeMeter) Sub(now time.Time, subjects ...string) Verdict {
	u := m.user
	u.mu.Lock()
	defer u.mu.Unlock()
	at := u.atLocked(now)
	left := u.left
	if len(subjects) > 1 {
		left = left.clone() // what is taken has to come back if the rest is refused
	}
	counted := 0
	for _, subject := range subjects {
		if !left.take(subject) {
			counted++
		}
	}
	v := u.log.check(SubscriptionChanges, m.rule, at, ChangesPeriod, counted)
	if v.Refused() {
		return v
	}
	u.left = left
	for range counted {
		u.countLocked(at, m.rule)
		u.left.displace()
	}
	v.Free = counted == 0
	return v
}

// Unsub counts an UNSUB by the browser; it always passes. What the server ends
// is no change.
func (m *ChangeMeter) Unsub(now time.Time) {
	m.user.mu.Lock()
	defer m.user.mu.Unlock()
	m.user.countLocked(m.user.atLocked(now), m.rule)
}

// Close ends the connection and remembers which subjects it held, one for each
// subscription that counted. Closing again does nothing.
func (m *ChangeMeter) Close(now time.Time, subjects []string) {
	u := m.user
	u.mu.Lock()
	closed := m.closed
	if m.closed = true; !closed {
		u.left.add(u.atLocked(now), subjects)
	}
	u.mu.Unlock()
	if !closed {
		m.changes.leave(now, u)
	}
}

// Usage says where the user's count stands, as this connection is held to it.
// Used is at most the largest limit of the user's connections: more is not kept.
func (m *ChangeMeter) Usage(now time.Time) Usage {
	m.user.mu.Lock()
	defer m.user.mu.Unlock()
	m.user.atLocked(now)
	return Usage{Name: SubscriptionChanges, Limit: m.rule.Value, Used: m.user.log.count, DryRun: m.rule.DryRun}
}

// Restorable is how many subscriptions the user may restore for free.
func (m *ChangeMeter) Restorable(now time.Time) int {
	m.user.mu.Lock()
	defer m.user.mu.Unlock()
	m.user.atLocked(now)
	return m.user.left.free()
}

// atLocked is the moment of now, with all forgotten that no longer counts then.
func (u *user) atLocked(now time.Time) time.Duration {
	u.latest = max(u.latest, now.Sub(u.start))
	u.log.expire(u.latest, ChangesPeriod)
	u.left.expire(u.latest)
	return u.latest
}

func (u *user) countLocked(at time.Duration, rule Rule) {
	u.keep = max(u.keep, rule.Value, 1)
	u.log.add(at, u.keep)
}
