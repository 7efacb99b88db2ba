package access

import (
	"maps"
	"slices"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// A grant covers at most session.MaxConversations. When it is full, the conversation that
// was least recently used makes room for the next one: with any other rule a user of
// a few more would have each request decided anew, at the price of a login.

// uses says when each of the grant's conversations was last used, by a count of uses;
// as long as grant.Conversations and in its order.
type uses struct {
	last  []uint32
	count uint32
}

// renewed is the uses of the next grant: what both cover is as it was, what is new
// has been used last.
func (u uses) renewed(before, after *session.Grant) uses {
	next := uses{last: make([]uint32, len(after.Conversations)), count: u.count + 1}
	for i, c := range after.Conversations {
		next.last[i] = next.count
		if before == nil {
			continue
		}
		if j, ok := before.Index(c); ok {
			next.last[i] = u.last[j]
		}
	}
	return next
}

// Touch notes that the conversation is used now.
func (c *Credential) Touch(id status.ConversationID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grant == nil {
		return
	}
	if i, ok := c.grant.Index(id); ok {
		c.uses.count++
		c.uses.last[i] = c.uses.count
	}
}

// Wanted is what the next grant would cover if it had to cover id as well; ErrGrantFull
// when there is no room for that.
func (c *Credential) Wanted(id status.ConversationID) ([]status.ConversationID, error) {
	return c.wanted(need{conversations: []status.ConversationID{id}})
}

// wanted is what the next grant should cover: what is needed, what browsers use, and as
// much as there is room for of what is likely needed next and of the rest that the
// present one covers, the most recently used first. It is ErrGrantFull when what is
// needed and used is too much by itself.
func (c *Credential) wanted(n need) ([]status.ConversationID, error) {
	used := c.inUse()
	want := map[status.ConversationID]struct{}{}
	for _, id := range n.conversations {
		want[id] = struct{}{}
	}
	if n.join != "" {
		want[n.join] = struct{}{}
	}
	for _, id := range c.byUse() {
		if _, ok := used[id]; ok {
			want[id] = struct{}{}
		}
	}
	if len(want) > session.MaxConversations {
		return nil, ErrGrantFull
	}
	for _, id := range slices.Concat(n.likely, c.byUse()) {
		if len(want) == session.MaxConversations {
			break
		}
		want[id] = struct{}{}
	}
	return slices.Sorted(maps.Keys(want)), nil
}

// byUse is the conversations of the grant, the most recently used first.
func (c *Credential) byUse() []status.ConversationID {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grant == nil {
		return nil
	}
	order := make([]int, len(c.grant.Conversations))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(c.uses.last[b]) - int(c.uses.last[a]) })
	ids := make([]status.ConversationID, len(order))
	for i, at := range order {
		ids[i] = c.grant.Conversations[at]
	}
	return ids
}

// isFull is true when the grant has no room for one more conversation, as browsers use
// all that it may cover.
func (c *Credential) isFull() bool { return len(c.inUse()) >= session.MaxConversations }

// inUse is the conversations in which a browser of the credential has a subscription,
// or a request that waits for its answer.
func (c *Credential) inUse() map[status.ConversationID]struct{} {
	used := map[status.ConversationID]struct{}{}
	for _, b := range c.attached() {
		b.AddUsed(used)
	}
	return used
}

// mayPay asks whether the user may cause one more login decision. It counts nothing.
func (a *Access) mayPay(u status.UserID) limit.Verdict { return a.changes.Check(time.Now(), u) }

// pay counts one login decision that the user causes, unless it is one too many: then
// the error is a *LimitedError. b is who asks.
func (a *Access) pay(b Browser, u status.UserID) error {
	v := a.changes.Take(time.Now(), u)
	if v.Refused() {
		return &LimitedError{v}
	}
	if v.Hit() {
		b.Counted(v)
	}
	return nil
}
