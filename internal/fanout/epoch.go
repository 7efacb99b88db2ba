package fanout

import (
	"fmt"
	"time"
)

// The stream can be made anew while the fan-out runs: deleted, and made by another
// node or by hand. Its sequences begin anew then, and would be taken for doubles
// of the old ones. So every topic of the old stream ends: who comes back has a
// place of the old epoch, and is told.

// watchEpoch looks at the stream's epoch until Stop, as often as checks have a turn.
func (f *Fanout) watchEpoch() {
	ticker := time.NewTicker(f.opts.CheckEvery / time.Duration(len(f.checks.turns)))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f.CheckEpoch()
		case <-f.ctx.Done():
			return
		}
	}
}

// CheckEpoch ends the topics whose stream is no more. That is done once a second;
// who knows that the stream was made anew need not wait.
func (f *Fanout) CheckEpoch() {
	waited := f.purgedBefore()
	state, err := f.readState()
	if err != nil || state.Epoch == "" {
		return // the checks ask the stream too, and say so
	}
	now := state.Epoch
	f.rememberAgain(waited, state.Last)
	var old []*topic
	for _, t := range f.stored() {
		if t.isOther(now) && f.detach(t) {
			old = append(old, t)
		}
	}
	if len(old) == 0 {
		return
	}
	f.opts.Logger.Error("the stream of statuses was made anew: ending what is subscribed to", "topics", len(old))
	for _, t := range old {
		f.retire(t, fmt.Sprintf("statuses of %q are missing, as the server's data was reset: subscribe again and read the history", t.key.subject))
	}
}

// stored is the topics whose messages are in the stream, but for those that are
// about to open.
func (f *Fanout) stored() (all []*topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		select {
		case <-t.opened:
			if t.at != nil && t.openErr == nil {
				all = append(all, t)
			}
		default:
		}
	}
	return all
}

// isOther is true when the topic's positions are not of the epoch of now. One that
// has not read the stream when it began takes it from here.
func (t *topic) isOther(now string) bool {
	if t.at.whole {
		return t.at.epoch != "" && t.at.epoch != now
	}
	t.order.Lock()
	defer t.order.Unlock()
	if t.at.epoch == "" {
		t.at.epoch = now
	}
	return t.at.epoch != now
}

// detach has nobody find the topic any more. It is false when it has ended meanwhile,
// or just now, because it was only kept.
func (f *Fanout) detach(t *topic) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topics[t.key] != t {
		return false
	}
	if t.kept != nil {
		f.endLocked(t)
		return false
	}
	f.removeLocked(t)
	t.detached = true
	return true
}

// retire ends every subscription of a topic that is detached, and tells them why.
func (f *Fanout) retire(t *topic, reason string) {
	t.mu.Lock()
	t.retired = true // who has found it before does not join
	t.mu.Unlock()
	t.order.Lock()
	all := t.clear()
	t.order.Unlock()
	for _, s := range all {
		f.leave(t)
		s.end(reason)
	}
}
