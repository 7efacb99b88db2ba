package limit

import (
	"slices"
	"time"
)

// Check says what Sub would say now. Nothing is held or counted.
func (m *Meter) Check(op SubOp) Verdict {
	v := m.Sub(op)
	if !v.Refused() {
		m.Unsub(op)
	}
	return v
}

// Check says what Sub would say now. Nothing is counted or restored.
func (m *ChangeMeter) Check(now time.Time, subject string) Verdict {
	m.user.mu.Lock()
	defer m.user.mu.Unlock()
	return m.user.checkLocked(now, subject, m.rule)
}

// Check says what Sub would say now on the next connection of the user, and how
// many changes count by now. Nobody is entered.
func (c *Changes) Check(now time.Time, name, subject string, rule Rule) (Verdict, Usage) {
	c.mu.Lock()
	u := c.users[name]
	c.mu.Unlock()
	if u == nil {
		u = &user{name: name, start: now}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	v := u.checkLocked(now, subject, rule)
	return v, Usage{Name: SubscriptionChanges, Limit: rule.Value, Used: u.log.count, DryRun: rule.DryRun}
}

func (u *user) checkLocked(now time.Time, subject string, rule Rule) Verdict {
	at := u.atLocked(now)
	for i := range u.left.sets {
		if slices.Contains(u.left.sets[i].left, subject) {
			return Verdict{Free: true}
		}
	}
	return u.log.check(SubscriptionChanges, rule, at, ChangesPeriod, 1)
}
