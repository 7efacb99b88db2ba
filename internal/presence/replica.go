package presence

// replica is what is known of one node's members. It is a state-based CRDT: what it
// holds after some messages of one incarnation depends on which they were, not on
// their order nor on how often each came. For each key the message with the highest
// number that speaks of it decides; a snapshot speaks of every key in its buckets.
// A newer incarnation replaces all of an older one.
type replica struct {
	incarnation uint64
	ended       bool // it said bye
	ready       bool // it may announce, from some message on
	// base is the number of the newest snapshot of each bucket.
	base [numBuckets]uint64
	// entries have those above their bucket's base as diffs told, among them
	// values of no connections, kept so that an older message does not bring the
	// key back; and the others as the snapshot told.
	entries [numBuckets]map[key]numbered
	count   int // entries
}

type numbered struct {
	value
	seq uint64
}

// change is a key whose value on a node became another one.
type change struct {
	key
	old, new value
}

// get is the key's value; of no connections when there is none.
func (r *replica) get(k key) value { return r.entries[k.bucket()][k].value }

// apply merges a message of the replica's node, and calls changed for each key
// whose value becomes another one. At most limit entries are kept; dropped says how
// many were not. Pure: the outcome depends on the replica and the message alone.
func (r *replica) apply(m message, limit int, changed func(change)) (dropped int) {
	switch {
	case m.Incarnation < r.incarnation:
		return 0
	case m.Incarnation > r.incarnation:
		r.clear(changed)
		r.incarnation = m.Incarnation
	}
	r.ready = r.ready || m.Ready
	switch m.verb {
	case verbBye:
		r.ended = true
	case verbDiff:
		for _, e := range m.Entries {
			dropped += r.put(e.key(), numbered{e.value(), m.Seq}, limit, changed)
		}
	case verbSnapshot:
		dropped = r.replace(m, limit, changed)
	}
	return dropped
}

// put takes what a diff says of one key.
func (r *replica) put(k key, n numbered, limit int, changed func(change)) (dropped int) {
	if n.seq <= r.base[k.bucket()] {
		return 0
	}
	if n.connections == 0 {
		n.since = 0
	}
	return r.decide(k, n, limit, changed)
}

// decide stores a value unless one with as high a number is there.
func (r *replica) decide(k key, n numbered, limit int, changed func(change)) (dropped int) {
	b := k.bucket()
	old, known := r.entries[b][k]
	if known && n.seq <= old.seq {
		return 0
	}
	if !known {
		if r.count >= limit {
			return 1
		}
		r.count++
		if r.entries[b] == nil {
			r.entries[b] = map[key]numbered{}
		}
	}
	r.entries[b][k] = n
	if old.value != n.value {
		changed(change{k, old.value, n.value})
	}
	return 0
}

// set is for the node's own replica, which nothing overtakes: it keeps no values of
// no connections.
func (r *replica) set(k key, v value, changed func(change)) {
	b := k.bucket()
	old, known := r.entries[b][k]
	if old.value == v {
		return
	}
	switch {
	case v.connections == 0:
		delete(r.entries[b], k)
		r.count--
	case known:
		r.entries[b][k] = numbered{value: v}
	default:
		r.count++
		if r.entries[b] == nil {
			r.entries[b] = map[key]numbered{}
		}
		r.entries[b][k] = numbered{value: v}
	}
	changed(change{k, old.value, v})
}

// replace takes a snapshot: of each bucket that has no newer one it decides all
// that no newer diff has decided.
func (r *replica) replace(m message, limit int, changed func(change)) (dropped int) {
	fresh := map[key]value{}
	for _, e := range m.Entries {
		if m.Seq > r.base[e.key().bucket()] {
			fresh[e.key()] = e.value()
		}
	}
	for b := m.From; b < m.To; b++ {
		if m.Seq <= r.base[b] {
			continue
		}
		r.base[b] = m.Seq
		for k, old := range r.entries[b] {
			if _, stays := fresh[k]; !stays && old.seq <= m.Seq {
				delete(r.entries[b], k)
				r.count--
				if old.value != (value{}) {
					changed(change{k, old.value, value{}})
				}
			}
		}
	}
	for k, v := range fresh {
		dropped += r.decide(k, numbered{v, m.Seq}, limit, changed)
	}
	return dropped
}

// clear forgets every entry.
func (r *replica) clear(changed func(change)) {
	for _, bucket := range r.entries {
		for k, old := range bucket {
			if old.value != (value{}) {
				changed(change{k, old.value, value{}})
			}
		}
	}
	*r = replica{incarnation: r.incarnation}
}

// snapshot cuts the replica into messages of about maxBytes each, at least one. It
// is for the node's own replica.
func (r *replica) snapshot(maxBytes int) []message {
	var parts []message
	part, size := message{verb: verbSnapshot}, 0
	for b, bucket := range r.entries {
		if size > maxBytes {
			part.To = b
			parts = append(parts, part)
			part, size = message{verb: verbSnapshot, From: b}, 0
		}
		for k, n := range bucket {
			if n.connections > 0 {
				e := newEntry(k, n.value)
				part.Entries = append(part.Entries, e)
				size += e.size()
			}
		}
	}
	part.To = numBuckets
	return append(parts, part)
}
