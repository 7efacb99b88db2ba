package fanout

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"
)

// RePublish is at-most-once, and a publish that is answered as a duplicate is
// never republished (nats-server 2.15.2): a status can be stored and never come.
// The next one on its subject would show the hole; until there is one, only the
// stream can tell. So each topic asks it from time to time.

// check asks for every topic, one after the other, whether the stream has newer
// statuses than were delivered, and mends what is missing.
func (f *Fanout) check() {
	ticker := time.NewTicker(f.opts.CheckEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-f.ctx.Done():
			return
		}
		for _, t := range f.checked() {
			if f.ctx.Err() != nil {
				return
			}
			f.checkTopic(t)
		}
	}
}

// checked returns the topics of now that keep positions.
func (f *Fanout) checked() []*topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*topic
	for _, t := range f.topics {
		if t.at != nil {
			all = append(all, t)
		}
	}
	return all
}

func (f *Fanout) checkTopic(t *topic) {
	<-t.opened
	ctx, cancel := context.WithTimeout(f.ctx, f.opts.RepairTimeout)
	defer cancel()
	stored, upTo, err := f.repair.LastSequences(ctx, t.key.subject)
	if err != nil {
		if f.ctx.Err() == nil {
			f.opts.Logger.Warn("cannot check a topic", "subject", t.key.subject, "error", err)
		}
		return
	}
	t.order.Lock()
	defer t.order.Unlock()
	behind := false
	for subject, seq := range stored {
		if t.at.behind(subject, seq) {
			behind = true
			t.waiting = append(t.waiting, probe(subject, seq))
		}
	}
	if !behind && t.at.whole.Load() {
		t.at.known(upTo)
	}
	if len(t.waiting) == 0 || t.mending {
		return
	}
	// Lowest first, so that a wildcard gets them in the order of the stream.
	slices.SortFunc(t.waiting, func(a, b *Message) int { return cmp.Compare(a.prev, b.prev) })
	t.mending = true
	f.running.Go(t.mend)
}

// probe stands among the waiting messages for one that has not come: a hole up
// to seq. It is delivered to nobody.
func probe(subject string, seq uint64) *Message {
	return &Message{Subject: subject, Sequence: math.MaxUint64, prev: seq, probe: true}
}
