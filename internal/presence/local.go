package presence

import "time"

// local is this node's own connections, damped: a connection that left goes on to
// count as a ghost until the grace is over or until another of the same key takes
// its place. It has no clock of its own.
type local struct {
	grace time.Duration
	max   int // keys
	keys  map[key]*presentHere
	// leaving has every ghost, the oldest first, and some that were taken over.
	leaving     []ghost
	connections int // of all keys, without ghosts
}

// presentHere is a user in a conversation on this node.
type presentHere struct {
	since  time.Time
	conns  map[uint64]struct{}
	ghosts []time.Time // when each ends, the earliest first
}

type ghost struct {
	ends time.Time
	key
}

func newLocal(grace time.Duration, most int) *local {
	return &local{grace: grace, max: most, keys: map[key]*presentHere{}}
}

// join counts a connection in. It is false when there are too many keys.
func (l *local) join(now time.Time, k key, conn uint64) bool {
	p := l.keys[k]
	if p == nil {
		if len(l.keys) >= l.max {
			return false
		}
		p = &presentHere{since: now, conns: map[uint64]struct{}{}}
		l.keys[k] = p
	}
	if _, there := p.conns[conn]; there {
		return true
	}
	p.conns[conn] = struct{}{}
	l.connections++
	if len(p.ghosts) > 0 {
		p.ghosts = p.ghosts[1:]
	}
	return true
}

// leave makes a ghost of a connection. It is false when there is none.
func (l *local) leave(now time.Time, k key, conn uint64) bool {
	p := l.keys[k]
	if p == nil {
		return false
	}
	if _, there := p.conns[conn]; !there {
		return false
	}
	delete(p.conns, conn)
	l.connections--
	ends := now.Add(l.grace)
	p.ghosts = append(p.ghosts, ends)
	l.leaving = append(l.leaving, ghost{ends, k})
	return true
}

// expire ends the ghosts whose grace is over, and returns the keys they had.
func (l *local) expire(now time.Time) (ended []key) {
	for len(l.leaving) > 0 && !l.leaving[0].ends.After(now) {
		k := l.leaving[0].key
		l.leaving = l.leaving[1:]
		p := l.keys[k]
		if p == nil || len(p.ghosts) == 0 || p.ghosts[0].After(now) {
			continue
		}
		p.ghosts = p.ghosts[1:]
		ended = append(ended, k)
		if len(p.conns) == 0 && len(p.ghosts) == 0 {
			delete(l.keys, k)
		}
	}
	return ended
}

// next is when the earliest ghost ends; zero for never.
func (l *local) next() time.Time {
	if len(l.leaving) == 0 {
		return time.Time{}
	}
	return l.leaving[0].ends
}

// value is what this node says of the key.
func (l *local) value(k key) value {
	p := l.keys[k]
	if p == nil {
		return value{}
	}
	return value{min(len(p.conns)+len(p.ghosts), maxConnections), p.since.UnixMilli()}
}
