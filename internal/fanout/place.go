package fanout

// Place says how far somebody has all statuses. It is not changed once it is
// handed out.
type Place struct {
	// Epoch names the life of the stream that the place is of; "": it is not known.
	Epoch string
	// After is a stream sequence up to which everything is known.
	After uint64
	// Seen has later positions of single literal subjects; nil for none.
	Seen map[string]uint64
}

// highest is the highest position that the place names.
func (p Place) highest() uint64 {
	highest := p.After
	for _, seq := range p.Seen {
		highest = max(highest, seq)
	}
	return highest
}

// Place says how far s has been handed everything: of what was stored since it
// began, or after the place that it began with, it has had what the place names,
// and it may have had a little more. ok is false in a queue group, for a subject of
// more than one conversation, and for presence, which is not stored. It waits for
// nothing and may be called with any lock held; places of one topic are shared by
// its subscriptions.
func (f *Fanout) Place(s *Subscription) (p Place, ok bool) {
	if c := s.catchUp.Load(); c != nil {
		return *c.place.Load(), true
	}
	return s.topic.place()
}

// Began is the place of s before it was handed anything.
func (f *Fanout) Began(s *Subscription) (p Place, ok bool) { return s.began, s.placed }

// place is that of all who receive from the topic itself.
func (t *topic) place() (p Place, ok bool) {
	if t.at != nil && t.at.whole {
		return t.at.current(), true
	}
	return Place{}, false
}

// versionPlace is a place, and what version of the positions it is of.
type versionPlace struct {
	version uint64
	Place
}

// current is the place of all who receive from the topic. Each number in it was
// true when it was read and stays so: it does not matter that others have moved
// on before all were read.
func (p *positions) current() Place {
	version := p.version.Load()
	if known := p.place.Load(); known != nil && known.version == version {
		return known.Place
	}
	made := &versionPlace{version: version, Place: Place{Epoch: p.epoch, After: p.after.Load()}}
	for _, at := range *p.all.Load() {
		seq := at.handed.Load()
		switch {
		case seq <= made.After:
		case p.literal: // nothing else can come
			made.After = seq
		default:
			if made.Seen == nil {
				made.Seen = map[string]uint64{}
			}
			made.Seen[at.subject] = seq
		}
	}
	p.place.Store(made)
	return made.Place
}
