package access

import (
	"errors"
	"time"

	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
)

// expiresIn is how long until the time t, at least nothing.
func expiresIn(t, now time.Time) time.Duration { return max(0, t.Sub(now)) }

// armLocked sets the clock for the grant's renewal, or its end; mu is held.
func (c *Credential) armLocked() {
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
func (c *Credential) renew(old *session.Grant) {
	if c.access.dropIfIdle(c) || c.Grant() != old {
		return
	}
	err := c.regrant()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.grant == old {
		c.timer = time.AfterFunc(expiresIn(old.Expires, time.Now()), func() { c.expire(old) })
	}
}

// expire ends the browsers whose grant is over.
func (c *Credential) expire(old *session.Grant) {
	if c.access.dropIfIdle(c) || c.Grant() != old {
		return
	}
	c.closeAll(refusal.CloseExpired())
}

var errNoBrowser = errors.New("no browser is left")

// regrant asks the callout again with what the grant has now, on behalf of any
// of the browsers.
func (c *Credential) regrant() error {
	browsers := c.attached()
	if len(browsers) == 0 {
		return errNoBrowser
	}
	b := browsers[0]
	ctx, cancel := c.access.Patience(b.Context())
	defer cancel()
	return c.ensure(ctx, b, b.Login(), need{fresh: true})
}
