package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/statuswire/statuswire/internal/pause"
)

// fewHeld is how many held messages may be handed over while the topic waits.
const fewHeld = 16

// run replays the stream until the topic can take over. It ends with the
// subscription at the latest.
func (c *catchUp) run() {
	defer c.cancel()
	f := c.topic.fanout
	f.catchingUp.Add(1)
	defer f.catchingUp.Add(-1)
	if c.recall() {
		return
	}
	c.hold()
	var replay Replay
	for failures := 0; !c.ended.Load(); {
		if replay == nil {
			replay = f.repair.Replay(c.topic.key.subject, c.reached())
		}
		done, err := c.step(replay)
		if done {
			return
		}
		if err == nil {
			failures = 0
			continue
		}
		replay = nil
		switch failures++; {
		case c.stopped(err):
			return
		case failures < f.opts.RepairAttempts:
			pause.For(c.ctx.Done(), time.Duration(failures)*f.opts.RetryWait)
		case errors.Is(err, ErrAheadOfStream): // and no replica that lags behind
			c.restart()
			failures = 0
		default:
			c.fail(err)
			return
		}
	}
}

// step reads a piece, hands it over, and is done when the receiver is where the
// topic is.
func (c *catchUp) step(replay Replay) (done bool, err error) {
	if err := c.ready(); err != nil {
		return false, err
	}
	piece, err := c.read(replay)
	if err != nil {
		return false, err
	}
	if err := c.hand(piece); err != nil {
		return false, err
	}
	return c.next(piece.Done)
}

// hold keeps what comes live from now on.
func (c *catchUp) hold() {
	c.topic.order.Lock()
	defer c.topic.order.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase, c.joined = holding, c.topic.at.newest()
}

// reached is where to read on.
func (c *catchUp) reached() Place {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.placeLocked()
}

func (c *catchUp) read(replay Replay) (Piece, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.topic.fanout.opts.ReplayTimeout)
	defer cancel()
	return replay.Next(ctx)
}

// hand hands a piece over, part by part.
func (c *catchUp) hand(piece Piece) error {
	c.mu.Lock()
	c.epoch = piece.Epoch
	if piece.Truncated != 0 {
		c.truncated = piece.Truncated
	}
	c.mu.Unlock()
	for rest := piece.Statuses; len(rest) > 0; {
		n := fitting(len(rest), func(i int) int { return len(rest[i].Data) })
		if err := c.ready(); err != nil {
			return err
		}
		c.handStored(rest[:n])
		rest = rest[n:]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upTo = max(c.upTo, piece.UpTo)
	c.noteLocked()
	return nil
}

func (c *catchUp) handStored(statuses []Stored) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ms := make([]*Message, 0, len(statuses))
	for _, st := range statuses {
		if !c.newLocked(st.Subject, st.Sequence) {
			continue
		}
		m := replayedMessage(st)
		m.Replayed, m.Epoch = true, c.epoch
		c.numberLocked(m)
		c.seen[st.Subject] = st.Sequence
		ms = append(ms, m)
	}
	c.handLocked(ms...)
	c.noteLocked()
	c.topic.fanout.replayed.Add(uint64(len(ms)))
}

// numberLocked adds what stood before m, if that is not known otherwise.
func (c *catchUp) numberLocked(m *Message) {
	if prev := c.seen[m.Subject]; prev > 0 && m.Header[headerLastSequence] == nil {
		m.Header[headerLastSequence] = number(prev)
	}
}

// next decides what is to be done after a piece, which may be the last one.
func (c *catchUp) next(last bool) (done bool, err error) {
	holding, reached := c.state()
	if !holding && last {
		c.hold() // what came meanwhile is still to be read, what comes now is held
		last = false
		holding, reached = c.state()
	}
	switch {
	case holding && reached:
		return c.finish()
	case holding && last: // a replica that lags behind has answered
		return false, errBehind
	}
	return false, nil
}

func (c *catchUp) state() (held, reached bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == holding, c.upTo >= c.joined
}

// finish hands over what is held and follows the topic from then on. It is false
// when more came than could be held.
func (c *catchUp) finish() (bool, error) {
	for {
		c.mu.Lock()
		if len(c.held) <= fewHeld {
			c.mu.Unlock()
			break
		}
		n := fitting(len(c.held), func(i int) int { return len(c.held[i].Data) })
		c.handHeldLocked(n)
		c.mu.Unlock()
		if err := c.ready(); err != nil {
			return false, err
		}
	}
	c.topic.order.Lock()
	defer c.topic.order.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != holding {
		return false, nil
	}
	c.handHeldLocked(len(c.held))
	c.phase, c.held = following, nil
	if c.leaveLocked() {
		// The topic has what the receiver has, so all its receivers do.
		c.topic.knownLocked(c.upTo)
	}
	return true, nil
}

// handHeldLocked hands over the first n of what is held.
func (c *catchUp) handHeldLocked(n int) {
	ms := make([]*Message, 0, n)
	for _, m := range c.held[:n] {
		c.heldBytes -= len(m.Data)
		if c.newLocked(m.Subject, m.Sequence) {
			c.seen[m.Subject] = m.Sequence
			ms = append(ms, m)
		}
	}
	c.held = c.held[n:]
	c.handLocked(ms...)
	c.noteLocked()
}

// unreadyError is what a Pacer said.
type unreadyError struct{ error }

// stopped is true when the error is the receiver's, or the subscription has ended.
func (c *catchUp) stopped(err error) bool {
	if c.ctx.Err() != nil {
		return true
	}
	var gone *unreadyError
	if !errors.As(err, &gone) {
		return false
	}
	c.give(gone.Error())
	return true
}

func (c *catchUp) ready() error {
	if c.pacer == nil {
		return c.ctx.Err()
	}
	if err := c.pacer.Ready(c.ctx); err != nil {
		return &unreadyError{err}
	}
	return nil
}

// restart begins from the very beginning: what the receiver had is of other data.
func (c *catchUp) restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch, c.asked, c.upTo = "", 0, 0
	clear(c.seen)
	c.truncated = 1
}

func (c *catchUp) fail(err error) {
	f := c.topic.fanout
	f.failed.Add(1)
	f.opts.Logger.Error("a replay failed", "subject", c.topic.key.subject, "error", err)
	c.give(fmt.Sprintf("what was stored on %q meanwhile could not be read: subscribe again and read the history", c.topic.key.subject))
}

// give gives up: the subscription ends.
func (c *catchUp) give(reason string) {
	if !c.topic.remove(c.sub) {
		return
	}
	c.topic.fanout.leave(c.topic)
	c.sub.end(reason)
}
