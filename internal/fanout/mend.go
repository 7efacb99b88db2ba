package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/statuswire/statuswire/internal/pause"
)

// waiter is what waits while a topic is mended: a message, a gap, or somebody who
// wants to know when it is its turn.
type waiter struct {
	message *Message
	gap     *gap
	done    chan struct{} // to be closed
}

// gap is what is to be fetched before anything else of the topic passes.
type gap struct {
	subject string // literal, or the topic's
	last    map[string]uint64
	upTo    uint64 // what last has been read up to, 0: no more than that
}

// place is where to read from, and false when nothing is missing any more.
func (g *gap) place(at *positions) (p Place, open bool) {
	p = Place{After: at.after.Load(), Seen: map[string]uint64{}}
	for subject, seq := range g.last {
		open = open || at.behind(subject, seq)
	}
	for subject, known := range at.bySubject {
		if known.passed > p.After && (subject == g.subject || g.subject == at.subject) {
			p.Seen[subject] = known.passed
		}
	}
	return p, open
}

// end is the last sequence of the gap.
func (g *gap) end() (end uint64) {
	for _, seq := range g.last {
		end = max(end, seq)
	}
	return end
}

// settleLocked notes that nothing of the gap is left to be had. What retention has
// taken is not handed over before somebody was told; order is held.
func (t *topic) settleLocked(g *gap) {
	for subject, seq := range g.last {
		switch {
		case !t.at.behind(subject, seq):
			continue
		case t.truncated != 0:
			t.at.pass(subject, seq)
		default:
			t.at.settle(subject, seq)
		}
		t.skipLocked(subject, seq)
	}
	if t.truncated == 0 {
		t.at.known(g.upTo)
	}
}

// knownLocked notes that nothing up to the sequence is to come any more. While a gap
// is mended, or is still to be told, something is: that it is gone; order is held.
func (t *topic) knownLocked(upTo uint64) {
	if !t.mending && t.truncated == 0 {
		t.at.known(upTo)
	}
}

// mendLocked begins to mend, unless that is under way; order is held.
func (t *topic) mendLocked(w waiter) {
	t.waiting = append(t.waiting, w)
	if !t.mending {
		t.mending = true
		t.fanout.running.Go(t.mend)
	}
}

// mend fetches what is missing, and lets pass what waits, until the end.
func (t *topic) mend() {
	for {
		t.order.Lock()
		g := t.nextGapLocked()
		if g == nil {
			t.mending, t.waiting = false, nil
			lost := t.lost
			t.lost = false
			t.order.Unlock()
			if lost {
				t.fanout.checks.soon(t)
			}
			return
		}
		t.order.Unlock()

		if err := t.fill(g); err != nil {
			t.fail(g, err)
			return
		}

		t.order.Lock()
		// What the stream no longer has cannot be had: go on behind it.
		t.settleLocked(g)
		t.order.Unlock()
	}
}

// nextGapLocked lets pass what waits, up to the next gap; order is held.
func (t *topic) nextGapLocked() *gap {
	for len(t.waiting) > 0 {
		w := t.waiting[0]
		if m := w.message; m != nil && m.Sequence > 0 && t.at.see(m.Subject, m.Sequence, m.prev) == mend {
			return t.holeBefore(m)
		}
		t.waiting = t.waiting[1:]
		switch {
		case w.gap != nil:
			return w.gap
		case w.done != nil:
			close(w.done)
		case t.passesLocked(w.message):
			t.send(w.message)
		}
	}
	return nil
}

// holeBefore is the gap that m has shown. Where one status was lost others may be
// too, that no later one shows: so the stream is asked when this one is mended.
func (t *topic) holeBefore(m *Message) *gap {
	t.lost = true
	return &gap{subject: m.Subject, last: map[string]uint64{m.Subject: m.prev}}
}

// errBehind says that the stream's answer is older than what came from it: a replica
// that lags behind has given it.
var errBehind = errors.New("the stream's answer is older than what came live")

// fill delivers what is missing in the gap.
func (t *topic) fill(g *gap) error {
	f := t.fanout
	var reading Replay
	for failures := 0; ; {
		t.order.Lock()
		place, open := g.place(t.at)
		t.order.Unlock()
		if !open {
			return nil
		}
		if reading == nil {
			reading = f.repair.Mend(g.subject, place)
		}
		ctx, cancel := context.WithTimeout(f.ctx, f.opts.RepairTimeout)
		piece, err := reading.Next(ctx)
		cancel()
		if err == nil {
			t.deliverMissing(piece, g.end())
			if piece.UpTo >= g.end() {
				return nil
			}
			failures = 0
			if !piece.Done {
				continue
			}
			err = errBehind
		}
		reading = nil
		if failures++; failures >= f.opts.RepairAttempts || f.ctx.Err() != nil {
			return err
		}
		pause.For(f.ctx.Done(), time.Duration(failures)*f.opts.RetryWait)
	}
}

// deliverMissing delivers what was fetched and did not come, up to the end of the
// gap: what is behind it comes by itself.
func (t *topic) deliverMissing(piece Piece, end uint64) {
	t.order.Lock()
	defer t.order.Unlock()
	if piece.Truncated != 0 {
		t.truncated = piece.Truncated
		t.forgetLocked(max(end, t.at.newest())) // nobody knows of which subject it was
	}
	for _, st := range piece.Statuses {
		if st.Sequence <= end && t.at.behind(st.Subject, st.Sequence) {
			m := storedMessage(st, t.at.last(st.Subject))
			t.advanceLocked(m)
			t.send(m)
			t.fanout.mended.Add(1)
		}
	}
}

// fail ends every subscription of the topic: a gap must not stay hidden. Who
// subscribes from now on begins behind it.
func (t *topic) fail(g *gap, err error) {
	f := t.fanout
	if f.ctx.Err() != nil {
		return
	}
	f.failed.Add(1)
	f.opts.Logger.Error("a hole could not be mended", "subject", g.subject, "error", err)
	reason := fmt.Sprintf("statuses of %q are missing and could not be fetched: subscribe again and read the history", g.subject)
	for _, s := range t.giveUp(g) {
		f.leave(t)
		s.end(reason)
	}
}

// giveUp takes everybody out, and notes that the gap and what waits behind it is
// not delivered any more.
func (t *topic) giveUp(g *gap) []*Subscription {
	t.order.Lock()
	defer t.order.Unlock()
	all := t.clear()
	t.settleLocked(g)
	for _, w := range t.waiting {
		switch {
		case w.gap != nil:
			t.settleLocked(w.gap)
		case w.done != nil:
			close(w.done)
		case w.message.Sequence > 0:
			t.at.settle(w.message.Subject, w.message.Sequence)
		}
	}
	t.mending, t.waiting, t.lost, t.truncated = false, nil, false, 0
	t.forgetLocked(t.at.newest())
	return all
}
