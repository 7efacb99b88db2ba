package fanout

import (
	"context"
	"fmt"
	"time"
)

// mendBatch is how many statuses one request for a hole may bring: a batch
// holds the stream's lock while it is read.
const mendBatch = 200

// mend fetches what is missing before the first waiting message, lets it pass,
// and then lets pass what waits, until the next hole or the end.
func (t *topic) mend() {
	for {
		t.order.Lock()
		if !t.dueLocked() {
			t.mending = false
			t.waiting = nil
			t.order.Unlock()
			return
		}
		first := t.waiting[0]
		after, upTo := t.at.passed(first.Subject), first.prev
		t.order.Unlock()

		if err := t.fill(first.Subject, after, upTo); err != nil {
			t.fail(first.Subject, err)
		}

		t.order.Lock()
		// What the stream no longer has cannot be had: go on behind it.
		t.at.settle(first.Subject, upTo)
		t.order.Unlock()
	}
}

// dueLocked lets waiting messages pass up to the next hole and says whether
// there is one; order is held.
func (t *topic) dueLocked() bool {
	for len(t.waiting) > 0 {
		m := t.waiting[0]
		if m.Sequence == 0 {
			t.send(m)
			t.waiting = t.waiting[1:]
			continue
		}
		switch a := t.at.see(m.Subject, m.Sequence, m.prev); {
		case a == mend:
			return true
		case m.probe:
		case a == drop:
			t.fanout.doubles.Add(1)
		case a == deliver:
			m.position = t.at.pass(m.Subject, m.Sequence)
			t.send(m)
		}
		t.waiting = t.waiting[1:]
	}
	return false
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
			if prev := t.at.passed(st.Subject); st.Sequence > prev {
				m := storedMessage(st, prev)
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

// fail ends every subscription of the topic: a gap must not stay hidden.
func (t *topic) fail(subject string, err error) {
	f := t.fanout
	if f.ctx.Err() != nil {
		return
	}
	f.failed.Add(1)
	f.opts.Logger.Error("a hole could not be mended", "subject", subject, "error", err)
	reason := fmt.Sprintf("statuses of %q are missing and could not be fetched: subscribe again and read the history", subject)
	for _, r := range t.current().recipients {
		if s := r.subscription; t.remove(s) {
			f.leave(t)
			r.receiver.Ended(s, reason)
		}
	}
}
