package history

// recalled is the whole way of the pass from memory, if that has it and it is one batch.
// The stream has just said what is new, so memory that has that lacks nothing before it.
func (p *Replay) recalled(most int) (Batch, bool) {
	ps := p.pass
	if p.r.recent == nil || p.highest() > ps.upTo {
		return Batch{}, false
	}
	all, ok := p.r.recent(p.filter.all, Place{Epoch: p.epoch, After: p.after, Seen: p.seen}, ps.news)
	if !ok {
		return Batch{}, false
	}
	b := Batch{Epoch: p.epoch, UpTo: ps.upTo, Done: true}
	bytes := 0
	for _, m := range all {
		if m.Sequence > ps.upTo || m.Sequence <= p.known(m.Subject) || !p.filter.wants(m) {
			continue
		}
		if bytes += len(m.Subject) + len(m.Data) + headerBytes(m.Header); len(b.Messages) == min(most, MaxBatch) || bytes > maxReplayBytes {
			return Batch{}, false
		}
		b.Messages = append(b.Messages, m)
	}
	p.after, p.fixed, p.nothing, p.pass = ps.upTo, true, 0, nil
	return b, true
}
