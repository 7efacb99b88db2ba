package fanout

import (
	"context"
	"fmt"
	"slices"

	"github.com/statuswire/statuswire/status"
)

// maxRestored bounds how much of the stream is read back: some 5 µs of the processor
// each.
const maxRestored = 20_000

// restoring is a topic that is opened for those who will come back, to a place.
type restoring struct {
	opening
	place Place
	beginning
}

// Restore opens the topics of the subjects as if their last receivers had just left, who
// were at the places: after a restart those come back all at once. What they have missed
// is read once for all of them, in the order of the stream, as far as it is not more than
// is remembered. Who comes meanwhile waits for it. With an error some are not restored.
func (f *Fanout) Restore(ctx context.Context, places map[string]Place) error {
	if f.opts.Keep <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.opts.RepairTimeout)
	defer cancel()
	all := f.reopen(places)
	err := f.readBack(ctx, all)
	for _, r := range all {
		if err != nil {
			f.openSoon(r.opening) // somebody may be waiting for it
		}
		f.leave(r.topic)
	}
	if err != nil {
		return fmt.Errorf("restore %d subjects: %w", len(all), err)
	}
	return nil
}

// reopen subscribes to what nobody has subscribed to yet, as long as there is room.
func (f *Fanout) reopen(places map[string]Place) (all []*restoring) {
	for subject, place := range places {
		if _, whole := status.ConversationOf(subject); !whole || !status.CarriesStatuses(subject) {
			continue
		}
		if len(all) == f.opts.MaxKept {
			break
		}
		t, created, err := f.topic(topicKey{subject: subject})
		if err != nil {
			break
		}
		if !created {
			f.leave(t)
			continue
		}
		o, ok := f.subscribe(t)
		if !ok {
			f.leave(t)
			continue
		}
		all = append(all, &restoring{opening: o, place: place})
	}
	return all
}

// readBack begins all of them, with what was stored behind their places.
func (f *Fanout) readBack(ctx context.Context, all []*restoring) error {
	if len(all) == 0 {
		return nil
	}
	if err := f.Flush(ctx); err != nil {
		return err
	}
	state, err := f.readState()
	if err != nil {
		return err
	}
	for some := range slices.Chunk(all, askTogether) {
		if err := f.findLast(ctx, some); err != nil {
			return err
		}
	}
	from, to := missedBy(all, state.Epoch)
	stored, err := f.readRange(ctx, from, to)
	if err != nil {
		return err
	}
	now, err := f.stateSince(state)
	if err != nil {
		return err
	}
	for _, r := range all {
		r.state, r.from, r.stored = now, from, stored[r.topic.key.subject]
		r.topic.begin(r.beginning)
		close(r.topic.opened)
	}
	return nil
}

// findLast reads the newest sequences of some topics at once.
func (f *Fanout) findLast(ctx context.Context, some []*restoring) error {
	subjects := make([]string, len(some))
	for i, r := range some {
		subjects[i] = r.topic.key.subject
	}
	last, upTo, err := f.repair.LastSequences(ctx, subjects...)
	if err != nil {
		return err
	}
	for _, r := range some {
		r.last, r.upTo = r.topic.own(last), upTo
	}
	return nil
}

// missedBy is the part of the stream in which somebody misses something; 0 for none.
func missedBy(all []*restoring, epoch string) (from, to uint64) {
	for _, r := range all {
		if r.place.Epoch != epoch {
			continue // everything there is: from the stream, with a word
		}
		for subject, seq := range r.last {
			if known := max(r.place.After, r.place.Seen[subject]); seq > known {
				to = max(to, seq)
				if from == 0 || known < from {
					from = known + 1
				}
			}
		}
	}
	if to-from >= maxRestored {
		from = to - maxRestored + 1
	}
	return from, to
}

// readRange reads the stream from from to to, and returns it by subject and by
// conversation.
func (f *Fanout) readRange(ctx context.Context, from, to uint64) (map[string][]Stored, error) {
	by := map[string][]Stored{}
	for next := from; from > 0 && next <= to; {
		page, err := f.repair.Range(ctx, next)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return nil, errBehind
		}
		for _, st := range page {
			by[st.Subject] = append(by[st.Subject], st)
			if c, ok := status.ConversationOf(st.Subject); ok {
				all := status.ConversationSubjects(c)
				by[all] = append(by[all], st)
			}
		}
		next = page[len(page)-1].Sequence + 1
	}
	return by, nil
}
