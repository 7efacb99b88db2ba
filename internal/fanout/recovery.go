package fanout

// action is what the recovery rule wants done with a message.
type action uint8

const (
	deliver action = iota // it is the next one
	drop                  // it was delivered before
	mend                  // something before it is missing
)

// positions is the recovery rule: for each literal subject, the sequence of the
// last status that was delivered, or that was stored before the topic began.
type positions struct {
	last map[string]uint64
	// whole is true when the stream was read as the topic began: then a subject
	// that is not in last had nothing stored.
	whole bool
}

// see judges the status of subject with sequence seq. prev is its
// Nats-Last-Sequence: the newest sequence that was still stored on the subject
// before it. That can go back, after an expiry or a purge, so only prev above
// the last position proves a hole (nats-server 2.15.2).
func (p *positions) see(subject string, seq, prev uint64) action {
	last, known := p.last[subject]
	switch {
	case !known && !p.whole:
		return deliver
	case seq <= last:
		return drop
	case prev > last:
		return mend
	}
	return deliver
}

// behind is true when the stream's newest status of subject, seq, is one that
// was not delivered.
func (p *positions) behind(subject string, seq uint64) bool {
	last, known := p.last[subject]
	return (known || p.whole) && seq > last
}

// advance notes that the status with sequence seq was delivered, or that
// nothing up to seq can be had any more. It never goes back.
func (p *positions) advance(subject string, seq uint64) {
	if seq > p.last[subject] {
		p.last[subject] = seq
	}
}
