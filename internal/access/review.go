package access

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/statuswire/statuswire/internal/pause"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// reviews looks again at the grants that cover a conversation whose access has
// changed. Changes that come while it is busy are taken together.
type reviews struct {
	access  *Access
	wake    chan struct{}
	done    chan struct{}
	slots   chan struct{} // holds a value for each review under way
	once    sync.Once
	changes atomic.Uint64 // counts calls of add

	mu      sync.Mutex // guards pending
	pending map[status.ConversationID]struct{}
}

func newReviews(a *Access) *reviews {
	return &reviews{
		access:  a,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		slots:   make(chan struct{}, reviewsAtOnce),
		pending: map[status.ConversationID]struct{}{},
	}
}

// Changed tells that the owner or the members of a conversation have changed, or that it
// is gone. It does not wait: within a second, the grants of those who lost access are
// replaced.
func (a *Access) Changed(c status.ConversationID) { a.reviews.add(c) }

// Changes counts the calls of Changed.
func (a *Access) Changes() uint64 { return a.reviews.changes.Load() }

func (r *reviews) add(c status.ConversationID) {
	r.changes.Add(1)
	r.mu.Lock()
	r.pending[c] = struct{}{}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // it will take this one along
	}
}

func (r *reviews) take() map[status.ConversationID]struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pending
	r.pending = map[status.ConversationID]struct{}{}
	return p
}

// reviewsAtOnce bounds the regrants that reviews have under way.
const reviewsAtOnce = 16

// reviewEvery is how far apart the regrants are that reviews ask for on behalf of
// one login, whatever changes: a user whose access changes all the time costs no
// more, and is late by no more than this.
const reviewEvery = 250 * time.Millisecond

// run reviews until stop.
func (r *reviews) run() {
	for {
		select {
		case <-r.done:
			return
		case <-r.wake:
		}
		changed := r.take()
		covered := map[status.ConversationID][]string{}
		for id := range changed {
			covered[id] = r.access.Categories(r.access.ctx, id)
		}
		for _, c := range r.access.holders() {
			held := c.coveredOf(changed)
			if len(held) == 0 {
				continue
			}
			for _, id := range held {
				c.resize(id, covered[id])
			}
			if !c.stillAdmitted(held) {
				c.reviewSoon(held)
			}
		}
	}
}

// reviewSoon reviews the conversations at once, or when the last review of the
// credential is reviewEvery ago; what comes until then is reviewed together.
func (c *Credential) reviewSoon(ids []status.ConversationID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	scheduled := len(c.due) > 0
	for _, id := range ids {
		if c.due == nil {
			c.due = map[status.ConversationID]struct{}{}
		}
		c.due[id] = struct{}{}
	}
	if scheduled || len(c.due) == 0 {
		return
	}
	wait := max(0, reviewEvery-time.Since(c.reviewed))
	c.access.goes(func() { c.reviewDue(wait) }) // ends with the review, or with stop
}

// reviewDue waits, and reviews what is due then.
func (c *Credential) reviewDue(wait time.Duration) {
	r := c.access.reviews
	if !pause.For(r.done, wait) {
		return
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-r.done:
		return
	}
	c.mu.Lock()
	ids := slices.Collect(maps.Keys(c.due))
	c.due, c.reviewed = nil, time.Now()
	c.mu.Unlock()
	c.review(ids)
}

func (r *reviews) stop() { r.once.Do(func() { close(r.done) }) }

// coveredOf returns which of the conversations the grant covers.
func (c *Credential) coveredOf(changed map[status.ConversationID]struct{}) []status.ConversationID {
	g := c.Grant()
	if g == nil {
		return nil
	}
	var covered []status.ConversationID
	for id := range changed {
		if g.Covers(id) {
			covered = append(covered, id)
		}
	}
	return covered
}

// resize tells the browsers which categories a conversation has now.
func (c *Credential) resize(id status.ConversationID, covered []string) {
	for _, b := range c.attached() {
		b.Resize(id, covered)
	}
}

// reviewAttempts is how often a review asks for a new grant before it ends the
// browsers instead: what may be lost must not go on.
const reviewAttempts = 3

// review replaces the grant if its user has lost one of the conversations.
func (c *Credential) review(covered []status.ConversationID) {
	if c.stillAdmitted(covered) || c.access.dropIfIdle(c) {
		return
	}
	for attempt := 1; ; attempt++ {
		err := c.regrant()
		var denial *session.Denial
		switch {
		case err == nil:
			return
		case errors.Is(err, errNoBrowser) && c.takeBack():
			return // a login under way asks again
		case errors.As(err, &denial) && denial.Final:
			c.closeAll(refusal.CloseDenied(denial.Reason))
			return
		case attempt == reviewAttempts:
			c.access.opts.Logger.Warn("access changed and no new grant is to be had: closing browsers", "error", err)
			c.closeAll(refusal.CloseAccessLost())
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-c.access.ctx.Done():
			return
		}
	}
}

// takeBack forgets the grant, unless a browser holds it already.
func (c *Credential) takeBack() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.browsers) > 0 {
		return false
	}
	c.forgetLocked()
	return true
}

func (c *Credential) stillAdmitted(covered []status.ConversationID) bool {
	ctx, cancel := context.WithTimeout(c.access.ctx, c.access.opts.VerdictTimeout)
	defer cancel()
	g := c.Grant()
	if g == nil {
		return true // nothing is held
	}
	for _, id := range covered {
		if admitted, err := c.access.deps.Directory.Admits(ctx, id, g.User); err != nil || !admitted {
			return false
		}
	}
	return true
}
