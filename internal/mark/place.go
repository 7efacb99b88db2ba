package mark

import "maps"

// Place says how far somebody has all statuses of a subscription.
type Place struct {
	// Epoch names the life of the stream that the place is of; "": it is not known.
	Epoch string
	// After: everything up to this sequence of the stream has arrived.
	After uint64
	// Seen are later positions of single literal subjects. It may be nil, and is
	// not changed once the Place is handed out.
	Seen map[string]uint64
}

// at is how far the place is for one literal subject.
func (p Place) at(subject string) uint64 { return max(p.After, p.Seen[subject]) }

func (p Place) equal(q Place) bool {
	return p.Epoch == q.Epoch && p.After == q.After && maps.Equal(p.Seen, q.Seen)
}

// noEpoch is no epoch of any stream.
const noEpoch = "-"

// Lower is the place up to which both have everything. Of two epochs there is none,
// whichever one is the stream's now: then it is a place that no stream has.
func Lower(p, q Place) Place {
	if p.equal(q) {
		return p
	}
	if p.Epoch != q.Epoch {
		return Place{Epoch: noEpoch}
	}
	low := Place{Epoch: p.Epoch, After: min(p.After, q.After)}
	for _, seen := range []map[string]uint64{p.Seen, q.Seen} {
		for subject := range seen {
			if at := min(p.at(subject), q.at(subject)); at > low.After {
				if low.Seen == nil {
					low.Seen = map[string]uint64{}
				}
				low.Seen[subject] = at
			}
		}
	}
	return low
}
