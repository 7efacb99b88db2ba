package storage

import "time"

// pace says when a new server may be started. It is pure: the caller has the clock.
//
// A cause that comes back soon after a restart was not really gone. So each restart
// within Options.Calm of the last one has to wait twice as long, and asks for twice
// as much room before.
type pace struct {
	opts Options

	last     time.Time // end of the last restart; zero: none yet
	relapses int       // restarts before the last one that were followed by another within Calm
	failing  time.Time // end of the first of the restarts that have failed in a row; zero: none has
}

// maxRoomDoublings bounds what the probe asks for: 8 times Options.ProbeBytes.
const maxRoomDoublings = 3

// next is when a restart may begin.
func (p *pace) next() time.Time {
	if p.last.IsZero() {
		return time.Time{}
	}
	wait := p.opts.FirstWait
	for range p.relapses {
		wait = min(2*wait, p.opts.LongestWait)
	}
	return p.last.Add(wait)
}

// room is how many bytes the probe asks for.
func (p *pace) room() int64 {
	if p.last.IsZero() {
		return p.opts.ProbeBytes
	}
	return p.opts.ProbeBytes << min(p.relapses+1, maxRoomDoublings)
}

// ended takes note of a restart. It returns true when restarts have failed for so
// long that trying again makes no sense.
func (p *pace) ended(now time.Time, worked bool) (giveUp bool) {
	switch {
	case p.last.IsZero() || worked && now.Sub(p.last) >= p.opts.Calm:
		p.relapses = 0
	default:
		p.relapses++
	}
	p.last = now
	switch {
	case worked:
		p.failing = time.Time{}
	case p.failing.IsZero():
		p.failing = now
	default:
		return now.Sub(p.failing) >= p.opts.GiveUpAfter
	}
	return false
}

// calm forgets restarts that are long ago.
func (p *pace) calm(now time.Time) {
	if !p.last.IsZero() && p.failing.IsZero() && now.Sub(p.last) >= p.opts.Calm {
		*p = pace{opts: p.opts}
	}
}
