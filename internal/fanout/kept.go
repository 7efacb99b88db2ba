package fanout

import "time"

// A topic whose last receiver has left is kept for a while, with what it remembers:
// after a cut everybody comes back at once, and a topic that is opened anew has to
// read the stream. It is only kept: who left first gives way to what is wanted.

// keepLocked is false when the topic is not to be kept; Fanout.mu is held.
func (f *Fanout) keepLocked(t *topic) bool {
	if f.opts.Keep <= 0 || f.stopped || t.at == nil || !t.at.whole {
		return false
	}
	select {
	case <-t.opened:
	default:
		return false
	}
	if t.openErr != nil {
		return false
	}
	t.keptUntil = time.Now().Add(f.opts.Keep)
	t.kept = f.kept.PushBack(t)
	for f.kept.Len() > f.opts.MaxKept {
		f.endKeptLocked()
	}
	return t.kept != nil
}

// unkeepLocked: somebody wants the topic again; Fanout.mu is held.
func (f *Fanout) unkeepLocked(t *topic) {
	if t.kept != nil {
		f.kept.Remove(t.kept)
		t.kept = nil
	}
}

// endKeptLocked ends the topic that was left first, and is false when none is kept;
// Fanout.mu is held.
func (f *Fanout) endKeptLocked() bool {
	first := f.kept.Front()
	if first == nil {
		return false
	}
	f.endLocked(first.Value.(*topic))
	return true
}

// endLocked ends a topic that is only kept; Fanout.mu is held.
func (f *Fanout) endLocked(t *topic) {
	f.unkeepLocked(t)
	f.removeLocked(t)
	f.release(t, false) // it is open: this does not wait
}

// endExpired ends the topics that nobody has come back to.
func (f *Fanout) endExpired() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for first := f.kept.Front(); first != nil && !now.Before(first.Value.(*topic).keptUntil); first = f.kept.Front() {
		f.endKeptLocked()
	}
}

// makeRoom lets go of what is remembered until it fits into its memory again.
func (f *Fanout) makeRoom() {
	for f.tails.Over() {
		f.mu.Lock()
		ended := f.endKeptLocked()
		f.mu.Unlock()
		if !ended {
			f.tails.DropOldest()
		}
	}
}
