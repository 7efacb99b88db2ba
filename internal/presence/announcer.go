package presence

import (
	"time"

	"github.com/statuswire/statuswire/status"
)

const (
	// maxAnnounced is how many joins or leaves one announcement has at most; more
	// go into further ones.
	maxAnnounced = 200
	// maxConfirmed is up to how many members a confirmation has the list. With more
	// it has only the version, by which a watcher sees that it missed something.
	maxConfirmed = 100
)

// announcer tells the watchers of the conversations that are this node's to
// announce. It has no clock of its own.
type announcer struct {
	self    string
	spacing time.Duration
	confirm time.Duration
	repeat  time.Duration
	// nodes are those of which one announces, self among them when it is ready.
	nodes []string

	told    map[status.ConversationID]*told
	pending map[status.ConversationID]*pending
	// confirms has every announcement to be confirmed, the earliest first, and
	// some after which another one came; repeats the same of confirmations.
	confirms, repeats []confirmation
	// recent has the conversations that changed lately, whoever announces them:
	// should that node turn out to be gone, perhaps nobody was told. olds has each
	// once, with a time at which it may be forgotten or has changed again.
	recent map[status.ConversationID]time.Time
	olds   []confirmation
	sent   uint64
}

// told is what the watchers of a conversation know.
type told struct {
	list    map[status.UserID]Member
	version uint64
	again   time.Time // not before it
	confirm time.Time
}

// pending is a conversation that may have changed.
type pending struct {
	due time.Time
	// whole: tell even that nobody is there, others may have told something else.
	whole bool
}

type confirmation struct {
	due          time.Time
	conversation status.ConversationID
}

func newAnnouncer(self string, o Options) *announcer {
	return &announcer{
		self: self, spacing: o.Spacing, confirm: o.ConfirmAfter, repeat: o.RepeatEvery,
		told: map[status.ConversationID]*told{}, pending: map[status.ConversationID]*pending{},
		recent: map[status.ConversationID]time.Time{},
	}
}

// mine reports whether this node announces the conversation.
func (a *announcer) mine(c status.ConversationID) bool { return pick(a.nodes, c) == a.self }

// pick is the node that announces the conversation, "" when there is none. Pure: who
// has the same nodes picks the same one (rendezvous hashing).
func pick(nodes []string, c status.ConversationID) (best string) {
	var top uint32
	for _, n := range nodes {
		h := hash(hash(hash(hashStart, n), "\x00"), string(c))
		h = (h ^ h>>16) * 0x85ebca6b // FNV leaves the last bytes in the low bits
		h = (h ^ h>>13) * 0xc2b2ae35
		h ^= h >> 16
		if best == "" || h > top || h == top && n < best {
			best, top = n, h
		}
	}
	return best
}

// changed notes that the conversation may have changed.
func (a *announcer) changed(now time.Time, c status.ConversationID, whole bool) {
	if _, there := a.recent[c]; !there {
		a.olds = append(a.olds, confirmation{now.Add(a.confirm), c})
	}
	a.recent[c] = now
	a.mark(now, c, whole)
}

// mark has the conversation looked at, if it is this node's to announce.
func (a *announcer) mark(now time.Time, c status.ConversationID, whole bool) {
	if !a.mine(c) {
		return
	}
	p := a.pending[c]
	if p == nil {
		p = &pending{due: now}
		if t := a.told[c]; t != nil && t.again.After(now) {
			p.due = t.again
		}
		a.pending[c] = p
	}
	p.whole = p.whole || whole
}

// elect takes a new set of nodes: what is no longer this node's is forgotten when
// what is pending is told; what has become its own is told as a whole.
func (a *announcer) elect(now time.Time, nodes []string, v *view) {
	a.nodes = nodes
	for c := range a.told {
		if !a.mine(c) && a.pending[c] == nil {
			delete(a.told, c)
		}
	}
	for c := range v.present {
		if a.told[c] == nil {
			a.mark(now, c, true)
		}
	}
	for c := range a.recent {
		if a.told[c] == nil {
			a.mark(now, c, true)
		}
	}
}

// again tells everything as a whole: watchers may have heard another announcer.
func (a *announcer) again(now time.Time, v *view) {
	all := a.told
	a.told = map[status.ConversationID]*told{}
	for c := range all {
		a.mark(now, c, true)
	}
	for c := range v.present {
		a.mark(now, c, true)
	}
}

// step returns the announcements that are due.
func (a *announcer) step(now time.Time, v *view) (out []outgoing) {
	for c, p := range a.pending {
		if p.due.After(now) {
			continue
		}
		delete(a.pending, c)
		out = a.tell(out, now, c, v, p.whole)
		if !a.mine(c) { // any more: its successor may not know of the change
			delete(a.told, c)
		}
	}
	for len(a.olds) > 0 && !a.olds[0].due.After(now) {
		c := a.olds[0].conversation
		a.olds = a.olds[1:]
		if due := a.recent[c].Add(a.confirm); due.After(now) {
			a.olds = append(a.olds, confirmation{due, c})
		} else {
			delete(a.recent, c)
		}
	}
	for _, queue := range []*[]confirmation{&a.confirms, &a.repeats} {
		for q := *queue; len(q) > 0 && !q[0].due.After(now); q = *queue {
			*queue = q[1:]
			if t := a.told[q[0].conversation]; t != nil && t.confirm.Equal(q[0].due) {
				out = a.tellAgain(out, now, q[0].conversation, v)
			}
		}
	}
	return out
}

// tell announces what has changed since the last announcement, if anything has.
func (a *announcer) tell(out []outgoing, now time.Time, c status.ConversationID, v *view, whole bool) []outgoing {
	t, reset := a.told[c], false
	if t == nil {
		if !whole && len(v.present[c]) == 0 {
			return out
		}
		t, reset = &told{}, true
		a.told[c] = t
	}
	list := v.members(c)
	joins, leaves := compare(t.list, list)
	if !reset && len(joins)+len(leaves) == 0 {
		return out
	}
	t.list = list
	t.again, t.confirm = now.Add(a.spacing), now.Add(a.confirm)
	a.confirms = append(a.confirms, confirmation{t.confirm, c})
	return a.send(out, now, c, t, reset, joins, leaves)
}

// tellAgain confirms the list. When nobody is there, it is forgotten then.
func (a *announcer) tellAgain(out []outgoing, now time.Time, c status.ConversationID, v *view) []outgoing {
	t := a.told[c]
	if a.pending[c] != nil { // a change is about to be told
		t.confirm = now.Add(a.confirm)
		a.confirms = append(a.confirms, confirmation{t.confirm, c})
		return out
	}
	before := t.list
	t.list = v.members(c)
	joins, leaves := compare(before, t.list)
	reset := len(t.list) <= maxConfirmed
	if reset {
		joins, leaves = compare(nil, t.list)
	}
	out = a.send(out, now, c, t, reset, joins, leaves)
	if len(t.list) == 0 {
		delete(a.told, c)
		return out
	}
	t.confirm = now.Add(a.repeat)
	a.repeats = append(a.repeats, confirmation{t.confirm, c})
	return out
}

// send cuts the changes into announcements, at least one.
func (a *announcer) send(out []outgoing, now time.Time, c status.ConversationID, t *told, reset bool, joins []Member, leaves []Left) []outgoing {
	for first := true; first || len(joins)+len(leaves) > 0; first = false {
		j, l := min(len(joins), maxAnnounced), min(len(leaves), maxAnnounced)
		m := Announcement{
			Version: max(t.version+1, uint64(now.UnixMilli())), After: t.version, Reset: reset && first,
			Joins: append([]Member{}, joins[:j]...), Leaves: append([]Left{}, leaves[:l]...),
		}
		if m.Reset {
			m.After = 0
		}
		t.version = m.Version
		joins, leaves = joins[j:], leaves[l:]
		out = append(out, outgoing{status.PresenceSubject(c), m})
		a.sent++
	}
	return out
}

// farewell tells that nobody is present any more, for a node that is the only one.
func (a *announcer) farewell(now time.Time) (out []outgoing) {
	for c, t := range a.told {
		if joins, leaves := compare(t.list, nil); len(leaves) > 0 {
			out = a.send(out, now, c, t, false, joins, leaves)
		}
	}
	return out
}

// next is when step has something to do; zero for never.
func (a *announcer) next() (t time.Time) {
	for _, p := range a.pending {
		t = earlier(t, p.due)
	}
	if len(a.confirms) > 0 {
		t = earlier(t, a.confirms[0].due)
	}
	if len(a.repeats) > 0 {
		t = earlier(t, a.repeats[0].due)
	}
	if len(a.olds) > 0 {
		t = earlier(t, a.olds[0].due)
	}
	return t
}

// earlier is the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
