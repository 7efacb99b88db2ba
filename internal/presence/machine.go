package presence

import (
	"slices"
	"time"

	"github.com/statuswire/statuswire/status"
)

// outgoing is what is to be published. It is encoded without a lock.
type outgoing struct {
	subject string
	body    any // a message or an Announcement; not changed any more
}

// machine is one node's presence without connection, goroutine or clock: what comes
// in and the time go in, what is to be published comes out.
type machine struct {
	opts  Options
	self  string
	born  uint64 // the incarnation
	local *local
	own   *replica // self's in view
	view  *view
	told  *announcer

	started time.Time // zero before start
	ready   bool
	seq     uint64
	dirty   map[key]struct{} // changed since the last diff
	peers   map[string]*peer
	ended   map[string]grave // nodes that said bye and are gone
	lost    map[string]time.Time

	snapshotDue  time.Time
	lastSnapshot time.Time

	overflow uint64 // entries and nodes beyond the bounds
	clashes  uint64 // messages of another node with our name
}

// peer is another node that is known.
type peer struct {
	heard  time.Time
	ends   time.Time // after its bye; zero for none
	lostUs bool      // it says that it had lost us
}

type grave struct {
	incarnation uint64
	until       time.Time
}

const (
	// maxMessageBytes is about how long a message of the node protocol gets.
	maxMessageBytes = 48 << 10
	// snapshotSpacing is the least time between two snapshots, however many nodes
	// appear.
	snapshotSpacing = 200 * time.Millisecond
	// graveTime is how long a message of a node that ended may be on its way.
	graveTime = time.Minute
)

func newMachine(self string, born uint64, opts Options) *machine {
	m := &machine{
		opts: opts, self: self, born: born,
		local: newLocal(opts.Grace, opts.MaxMembers),
		view:  newView(),
		told:  newAnnouncer(self, opts),
		dirty: map[key]struct{}{},
		peers: map[string]*peer{},
		ended: map[string]grave{},
		lost:  map[string]time.Time{},
	}
	m.own = m.view.replica(self)
	m.own.incarnation = born
	return m
}

func (m *machine) start(now time.Time) { m.started, m.snapshotDue = now, now }

// join counts a connection in. Ids that other nodes would refuse are left out.
func (m *machine) join(now time.Time, k key, conn uint64) {
	_, badC := status.ParseConversationID(string(k.conversation))
	_, badU := status.ParseUserID(string(k.user))
	if badC != nil || badU != nil || !m.local.join(now, k, conn) {
		m.overflow++
		return
	}
	m.touch(now, k)
}

// leave counts a connection out, when the grace is over.
func (m *machine) leave(now time.Time, k key, conn uint64) {
	if m.local.leave(now, k, conn) {
		m.touch(now, k)
	}
}

// touch takes over what local says of the key now.
func (m *machine) touch(now time.Time, k key) {
	m.own.set(k, m.local.value(k), func(c change) {
		m.dirty[k] = struct{}{}
		m.view.changed(c)
		m.told.changed(now, c.conversation, false)
	})
}

// receive takes what another node sent.
func (m *machine) receive(now time.Time, msg message) {
	if msg.Node == m.self {
		if msg.Incarnation != m.born {
			m.clashes++
		}
		return
	}
	if g, ok := m.ended[msg.Node]; ok && msg.Incarnation <= g.incarnation {
		return
	}
	p, met := m.meet(now, msg)
	r := m.view.replicas[msg.Node]
	if p == nil || msg.Incarnation < r.incarnation {
		return
	}
	p.heard = now
	incarnation, ready, ended := r.incarnation, r.ready, r.ended
	var touched []status.ConversationID
	m.overflow += uint64(r.apply(msg, m.opts.MaxMembers, func(c change) {
		m.view.changed(c)
		touched = append(touched, c.conversation)
	}))
	restarted := r.incarnation != incarnation
	isReady := r.ready
	if restarted {
		p.ends = time.Time{}
		m.introduce(now)
		r.ready = false // for a moment: who announced for its old self has to be told anew
	}
	if r.ended && p.ends.IsZero() {
		p.ends = now.Add(m.opts.Grace)
	}
	if met || r.ended != ended || r.ready != ready {
		m.elect(now)
	}
	for _, c := range touched {
		m.told.changed(now, c, restarted)
	}
	if restarted && isReady {
		r.ready = true
		m.elect(now)
	}
	if (met || restarted) && msg.Ready && m.ready {
		m.told.again(now, m.view) // both announced without knowing of the other
	}
	if msg.verb == verbSnapshot {
		m.heardLost(now, p, slices.Contains(msg.Lost, m.self))
	}
}

// meet returns the node that a message is from, nil when it is to be left alone.
func (m *machine) meet(now time.Time, msg message) (p *peer, met bool) {
	if p = m.peers[msg.Node]; p != nil {
		return p, false
	}
	if msg.verb == verbBye {
		return nil, false
	}
	if len(m.peers) >= m.opts.MaxNodes {
		m.overflow++
		return nil, false
	}
	p = &peer{}
	m.peers[msg.Node] = p
	m.view.replica(msg.Node).incarnation = msg.Incarnation
	m.introduce(now)
	if _, was := m.lost[msg.Node]; was {
		m.lost[msg.Node] = now
	}
	return p, true
}

// introduce has a snapshot sent soon, for a node that does not know us.
func (m *machine) introduce(now time.Time) {
	soon := now
	if least := m.lastSnapshot.Add(snapshotSpacing); least.After(soon) {
		soon = least
	}
	m.snapshotDue = earlier(m.snapshotDue, soon)
}

// heardLost tells everything again to the watchers when a node says that it had lost
// us: it has announced that our members left.
func (m *machine) heardLost(now time.Time, p *peer, lostUs bool) {
	if lostUs && !p.lostUs {
		m.told.again(now, m.view)
	}
	p.lostUs = lostUs
}

// elect hands the announcer the nodes that are ready and have not ended.
func (m *machine) elect(now time.Time) {
	var nodes []string
	if m.ready {
		nodes = append(nodes, m.self)
	}
	for name := range m.peers {
		if r := m.view.replicas[name]; r.ready && !r.ended {
			nodes = append(nodes, name)
		}
	}
	m.told.elect(now, nodes, m.view)
}

// step does what is due and returns what is to be published, in order, and when
// there is something to do again.
func (m *machine) step(now time.Time) (out []outgoing, next time.Time) {
	for _, k := range m.local.expire(now) {
		m.touch(now, k)
	}
	if m.started.IsZero() {
		return nil, m.local.next()
	}
	m.dropNodes(now)
	if !m.ready && !now.Before(m.started.Add(m.opts.Settle)) {
		m.ready = true
		m.elect(now)
		m.introduce(now)
	}
	out = m.diffs(out)
	if !m.snapshotDue.After(now) {
		out = m.snapshot(out, now)
		m.lastSnapshot, m.snapshotDue = now, now.Add(m.opts.SnapshotInterval)
	}
	out = append(out, m.told.step(now, m.view)...)
	return out, m.next()
}

func (m *machine) next() time.Time {
	t := earlier(m.snapshotDue, m.local.next())
	t = earlier(t, m.told.next())
	if !m.ready {
		t = earlier(t, m.started.Add(m.opts.Settle))
	}
	for _, p := range m.peers {
		t = earlier(t, p.heard.Add(m.opts.missed()))
		t = earlier(t, p.ends)
	}
	return t
}

// dropNodes ends the members of nodes that said bye or are silent.
func (m *machine) dropNodes(now time.Time) {
	var left []status.ConversationID
	dropped := false
	for name, p := range m.peers {
		over := !p.ends.IsZero() && !p.ends.After(now)
		if !over && now.Before(p.heard.Add(m.opts.missed())) {
			continue
		}
		dropped = true
		r := m.view.replicas[name]
		if over {
			m.ended[name] = grave{r.incarnation, now.Add(graveTime)}
		} else {
			m.lose(now, name)
		}
		r.clear(func(c change) {
			m.view.changed(c)
			left = append(left, c.conversation)
		})
		delete(m.view.replicas, name)
		delete(m.peers, name)
	}
	for name, g := range m.ended {
		if !g.until.After(now) {
			delete(m.ended, name)
		}
	}
	if dropped {
		m.elect(now)
		for _, c := range left { // perhaps nobody told their watchers anything for a while
			m.told.changed(now, c, true)
		}
	}
}

// lose remembers a silent node, to tell it when it is heard again.
func (m *machine) lose(now time.Time, name string) {
	m.lost[name] = now
	if len(m.lost) <= m.opts.MaxNodes {
		return
	}
	oldest := name
	for n, t := range m.lost {
		if t.Before(m.lost[oldest]) {
			oldest = n
		}
	}
	delete(m.lost, oldest)
}

// lostAndFound are the nodes that were lost and have been heard again within the
// last minute.
func (m *machine) lostAndFound(now time.Time) (names []string) {
	for name, t := range m.lost {
		if m.peers[name] == nil {
			continue
		}
		if now.Sub(t) > graveTime {
			delete(m.lost, name)
			continue
		}
		names = append(names, name)
	}
	return names
}

// diffs sends the entries that changed, if there is anybody to hear them.
func (m *machine) diffs(out []outgoing) []outgoing {
	if len(m.dirty) == 0 {
		return out
	}
	if len(m.peers) == 0 {
		m.seq++
		clear(m.dirty)
		return out
	}
	part, size := message{verb: verbDiff}, 0
	for k := range m.dirty {
		e := newEntry(k, m.own.get(k))
		part.Entries = append(part.Entries, e)
		if size += e.size(); size > maxMessageBytes {
			m.seq++
			out = append(out, m.sign(part))
			part, size = message{verb: verbDiff}, 0
		}
	}
	clear(m.dirty)
	if len(part.Entries) > 0 {
		m.seq++
		out = append(out, m.sign(part))
	}
	return out
}

// snapshot sends all entries, or only a sign of life when nobody is there.
func (m *machine) snapshot(out []outgoing, now time.Time) []outgoing {
	parts := []message{{verb: verbSnapshot}}
	if len(m.peers) > 0 {
		parts = m.own.snapshot(maxMessageBytes)
	}
	lost := m.lostAndFound(now)
	for _, p := range parts {
		p.Lost = lost
		out = append(out, m.sign(p))
	}
	return out
}

func (m *machine) sign(msg message) outgoing {
	msg.Node, msg.Incarnation, msg.Seq, msg.Ready = m.self, m.born, m.seq, m.ready
	return outgoing{nodePrefix + msg.verb, msg}
}

// bye returns what a node says last.
func (m *machine) bye(now time.Time) (out []outgoing) {
	if m.started.IsZero() {
		return nil
	}
	out = m.diffs(nil)
	out = append(out, m.told.step(now, m.view)...)
	if len(m.peers) == 0 {
		out = append(out, m.told.farewell(now)...)
	}
	return append(out, m.sign(message{verb: verbBye}))
}
