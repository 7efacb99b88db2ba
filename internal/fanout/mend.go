package fanout

import (
	"context"
	"fmt"
	"math"
	"time"
)

// mendBatch is how many statuses one request for a gap may bring: a batch holds
// the stream's lock while it is read.
const mendBatch = 200

// waiter is what waits while a topic is mended: a message, a gap, or somebody who
// wants to know when it is its turn.
type waiter struct {
	message *Message
	gap     *gap
	do      func() // with order held
}

// gap is what is to be fetched before anything else of the topic passes.
type gap struct {
	subject string // literal, or the topic's
	last    map[string]uint64
	upTo    uint64 // what last has been read up to, 0: no more than that
}

// after is where the gap begins.
func (g *gap) after(at *positions) (after uint64, open bool) {
	after = math.MaxUint64
	for subject, seq := range g.last {
		if at.behind(subject, seq) {
			after, open = min(after, at.passed(subject)), true
		}
	}
	return after, open
}

// end is the last sequence of the gap.
func (g *gap) end() (end uint64) {
	for _, seq := range g.last {
		end = max(end, seq)
	}
	return end
}

// settle notes that nothing of the gap is left to be had.
func (g *gap) settle(at *positions) {
	for subject, seq := range g.last {
		if at.behind(subject, seq) {
			at.settle(subject, seq)
		}
	}
	at.known(g.upTo)
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
		after, open := g.after(t.at)
		t.order.Unlock()

		if open {
			if err := t.fill(g.subject, after, g.end()); err != nil {
				t.fail(g, err)
				return
			}
		}

		t.order.Lock()
		// What the stream no longer has cannot be had: go on behind it.
		g.settle(t.at)
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
		case w.do != nil:
			w.do()
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

// fill delivers the statuses of subject with after < sequence ≤ upTo.
func (t *topic) fill(subject string, after, upTo uint64) error {
	f := t.fanout
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithTimeout(f.ctx, f.opts.RepairTimeout)
		batch, more, err := f.repair.After(ctx, subject, after, upTo, mendBatch)
		cancel()
		switch {
		case err == nil:
			attempt = 0
		case attempt >= f.opts.RepairAttempts || f.ctx.Err() != nil:
			return err
		default:
			pause(f.ctx, time.Duration(attempt)*100*time.Millisecond)
			continue
		}
		t.order.Lock()
		for _, st := range batch {
			if t.at.behind(st.Subject, st.Sequence) {
				m := storedMessage(st, t.at.passed(st.Subject))
				m.position = t.at.pass(st.Subject, st.Sequence)
				t.send(m)
				f.mended.Add(1)
			}
			after = st.Sequence
		}
		t.order.Unlock()
		if !more || len(batch) == 0 {
			return nil
		}
	}
}

// pause waits, or returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
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
	g.settle(t.at)
	for _, w := range t.waiting {
		switch {
		case w.gap != nil:
			w.gap.settle(t.at)
		case w.do != nil:
			w.do()
		case w.message.Sequence > 0:
			t.at.settle(w.message.Subject, w.message.Sequence)
		}
	}
	t.mending, t.waiting, t.lost = false, nil, false
	return all
}
