package fanout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/pause"
)

// The server allows a connection so many subscriptions (max_subscriptions of the
// account), and says of one too many neither which it is nor anything before the PONG:
// nats-server 2.15.2 sends "maximum subscriptions exceeded", and goes on. So the fan-out
// counts, and refuses before the server does. What it refuses all the same, for this
// reason or for want of permission, is found out by asking it what it has.

// Interest is one upstream subscription as the server has it.
type Interest struct{ Subject, Queue string }

// ErrFull is returned when the server allows no further subscription.
var ErrFull = errors.New("the connection to the server has as many subscriptions as it may have")

const (
	// reserved is how many subscriptions are left for what is no topic: answers,
	// elections.
	reserved = 8

	// The alarm goes off at alarmPercent of the limit, and may again below calmPercent.
	alarmPercent = 80
	calmPercent  = 70
)

// room counts what may yet be subscribed to upstream.
type room struct {
	nc  *nats.Conn
	max int // 0: no bound

	mu      sync.Mutex // guards what follows
	opening int        // taken, and not subscribed to yet
	alarmed bool
	full    bool // told since the alarm
}

// alarm is what is to be told of one more that was taken, or was not.
type alarm int

const (
	quiet alarm = iota
	nearlyFull
	nowFull
)

// take takes room for one more. It is false when there is none. So many of those that
// are there give way when they have to.
func (r *room) take(giveWay int) (ok bool, tell alarm) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.max == 0 {
		return true, quiet
	}
	used, usable := r.nc.NumSubscriptions()+r.opening-giveWay, r.max-reserved
	if used*100 < usable*calmPercent {
		r.alarmed, r.full = false, false
	}
	switch {
	case used >= usable:
		if !r.full {
			r.alarmed, r.full = true, true
			return false, nowFull
		}
		return false, quiet
	case used*100 >= usable*alarmPercent && !r.alarmed:
		r.alarmed = true
		tell = nearlyFull
	}
	r.opening++
	return true, tell
}

// opened says that what was taken counts by itself now, or is given up.
func (r *room) opened() {
	if r.max == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opening--
}

// takeRoomLocked is ErrFull when there is none for one more topic, also not in place of
// one that is only kept; Fanout.mu is held.
func (f *Fanout) takeRoomLocked() error {
	ok, tell := f.room.take(f.kept.Len())
	switch tell {
	case nearlyFull:
		f.opts.Logger.Error("browsers subscribe to nearly as many different subjects as the server allows: raise max_subscriptions in nats.conf",
			"subscriptions", f.nc.NumSubscriptions(), "limit", f.room.max)
	case nowFull:
		f.opts.Logger.Error("browsers subscribe to as many different subjects as the server allows, further ones are refused: raise max_subscriptions in nats.conf",
			"subscriptions", f.nc.NumSubscriptions(), "limit", f.room.max)
	}
	if !ok {
		return ErrFull
	}
	for f.room.exceeded() && f.endKeptLocked() {
	}
	return nil
}

// exceeded is true when there is more than the server allows, with what was taken.
func (r *room) exceeded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.max > 0 && r.nc.NumSubscriptions()+r.opening > r.max-reserved
}

// refusal is the server's of t, if the connection has heard it since before, its last
// error of then; behind a flush all are heard. Which one of several was one too many
// cannot be seen here: findRefused does.
func (f *Fanout) refusal(t *topic, before error) error {
	now := f.nc.LastError()
	if now != before && errors.Is(now, nats.ErrPermissionViolation) && strings.Contains(now.Error(), fmt.Sprintf("Subscription to %q", t.key.subject)) {
		return now
	}
	return nil
}

// isRefusal is true for an error of the connection that says that a subscription was
// refused.
func isRefusal(err error) bool {
	return errors.Is(err, nats.ErrMaxSubscriptionsExceeded) ||
		errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "Subscription to ")
}

// reasonRefused is what those are told who follow a topic that the server has refused.
const reasonRefused = "statuses cannot be delivered just now: subscribe again"

// findRefused ends, until Stop, the topics that the server has refused, each time that it
// has refused something.
func (f *Fanout) findRefused() {
	for {
		select {
		case <-f.refused:
		case <-f.ctx.Done():
			return
		}
		for attempt := 1; ; attempt++ {
			err := f.endRefused()
			if err == nil || f.ctx.Err() != nil {
				break
			}
			f.opts.Logger.Error("the server has refused a subscription, and cannot be asked which", "error", err)
			if attempt == f.opts.RepairAttempts {
				break // the checks find what does not come
			}
			pause.For(f.ctx.Done(), 10*f.opts.RetryWait)
		}
	}
}

// endRefused compares the topics with what the server has.
func (f *Fanout) endRefused() error {
	if f.opts.Interest == nil {
		return errors.New("nobody says what the server has")
	}
	ctx, cancel := context.WithTimeout(f.ctx, f.opts.ReplayTimeout)
	defer cancel()
	topics, err := f.allOpen(ctx)
	if err != nil {
		return err
	}
	if err := f.Flush(ctx); err != nil {
		return err
	}
	id, err := f.nc.GetClientID()
	if err != nil {
		return err
	}
	list, err := f.opts.Interest(id)
	if err != nil {
		return err
	}
	has := make(map[Interest]struct{}, len(list))
	for _, i := range list {
		has[i] = struct{}{}
	}
	for _, t := range topics {
		if _, ok := has[Interest{t.upstream.Subject, t.upstream.Queue}]; ok || !f.detach(t) {
			continue
		}
		f.opts.Logger.Error("the server has refused a subscription", "subject", t.key.subject)
		f.retire(t, reasonRefused)
	}
	return nil
}

// allOpen returns the topics of now that are subscribed to upstream.
func (f *Fanout) allOpen(ctx context.Context) (all []*topic, err error) {
	f.mu.Lock()
	topics := make([]*topic, 0, len(f.topics))
	for _, t := range f.topics {
		topics = append(topics, t)
	}
	f.mu.Unlock()
	for _, t := range topics {
		select {
		case <-t.opened:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if t.openErr == nil {
			all = append(all, t)
		}
	}
	return all, nil
}
