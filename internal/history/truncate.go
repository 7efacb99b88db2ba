package history

import "context"

// lost is what retention has dropped of what a replay wants.
type lost struct {
	// begin is not 0 when the stream begins too late for one of the subjects:
	// its first sequence.
	begin uint64
	// subjects holds the oldest message of each subject that the limit per
	// subject has cut.
	subjects map[string]uint64
}

// first is the first sequence that could still be had; 0 when nothing is lost.
func (l lost) first() uint64 {
	first := l.begin
	for _, oldest := range l.subjects {
		if first == 0 || oldest < first {
			first = oldest
		}
	}
	return first
}

// skip moves the place behind what is lost, so that it is reported once.
func (p *Replay) skip(l lost) {
	if l.begin > 0 {
		p.after = max(p.after, l.begin-1)
	}
	for subject, oldest := range l.subjects {
		p.seen[subject] = max(p.seen[subject], oldest-1)
	}
}

// lost compares the place with what the stream holds after read was read. What
// is in read was there then, even if it is dropped by now. It cuts read where it
// would hide that something was dropped while it was read.
func (p *Replay) lost(ctx context.Context, read *portion, kept retained) (lost, error) {
	if kept.epoch != p.epoch {
		if p.pass = nil; !p.fixed {
			p.epoch = kept.epoch
		}
		return lost{}, ErrOtherEpoch
	}
	// The answers may come from two servers, each with its own last message.
	if p.highest() > max(kept.last, p.pass.upTo) {
		return lost{}, ErrAheadOfStream
	}
	cut, err := p.cutSubjects(ctx, kept)
	if err != nil {
		return lost{}, err
	}
	first, dropped := kept.first, kept.droppedBefore()
	if m := read.oldest; m != nil && m.Sequence < first {
		read.cut(m.Sequence, first)
		first, dropped = m.Sequence, m.Time
	}
	held := oldestOfEach(cut, read.messages)
	for subject, was := range held {
		read.cut(was.Sequence, cut[subject].Sequence)
	}
	var l lost
	// What was dropped before Since was not wanted.
	if p.lowest()+1 < first && !p.filter.since.After(dropped) {
		l.begin = first
	}
	for subject, m := range cut {
		if was, ok := held[subject]; ok && (m.Sequence == 0 || was.Sequence < m.Sequence) {
			m = was
		}
		if m.Sequence > max(p.known(subject)+1, l.begin) && !p.filter.since.After(m.Time) {
			if l.subjects == nil {
				l.subjects = map[string]uint64{}
			}
			l.subjects[subject] = m.Sequence
		}
	}
	return l, nil
}

// cutSubjects returns what is now the oldest message of each subject that has news
// and is full; a zero one when it has none any more.
func (p *Replay) cutSubjects(ctx context.Context, kept retained) (map[string]Message, error) {
	var cut map[string]Message
	for subject, newest := range p.pass.news {
		if newest <= p.known(subject) || !kept.full(subject) {
			continue
		}
		m, _, err := p.r.one(ctx, request{Seq: 1, NextFor: subject})
		if err != nil {
			return nil, err
		}
		if cut == nil {
			cut = map[string]Message{}
		}
		cut[subject] = m
	}
	return cut, nil
}

// oldestOfEach returns the first message of each subject that is in of.
func oldestOfEach(of map[string]Message, messages []Message) map[string]Message {
	if len(of) == 0 {
		return nil
	}
	oldest := map[string]Message{}
	for _, m := range messages {
		if _, ok := of[m.Subject]; !ok {
			continue
		}
		if _, ok := oldest[m.Subject]; !ok {
			oldest[m.Subject] = m
		}
	}
	return oldest
}

// highest is the highest position of the place.
func (p *Replay) highest() uint64 {
	highest := p.after
	for _, position := range p.seen {
		highest = max(highest, position)
	}
	return highest
}
