package gateway

import (
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// A browser that gives its connection a unique name is resumable: what its
// subscriptions have had is known by receipts (receipt.go) and kept as marks, and
// the next socket of the same user and name goes on from there.

// resumption is what a resumable socket keeps for the browser's next one.
type resumption struct {
	holder *mark.Holder

	// Guarded by socket.mu.
	asked     []receipt // what the PING that is unanswered asks for; nil when none is
	refreshed time.Time // when the places were last taken
}

// startResumption makes the socket resumable, if its name says so. Its user is known.
func (s *webSocket) startResumption() {
	marks := s.gateway.deps.Marks
	if marks == nil || !mark.Resumable(s.connect.Name) {
		return
	}
	g, _ := s.held()
	h := marks.Open(mark.Key{User: g.User, Name: s.connect.Name})
	if h == nil {
		return // no room
	}
	s.mu.Lock()
	s.resumption = &resumption{holder: h, refreshed: time.Now()}
	s.mu.Unlock()
	s.gateway.receipts.add(s)
}

// resumes are the conversations in which a browser of that name will go on, as far as
// the proof tells whose it is: the verdict at its login is to cover them.
func (g *Gateway) resumes(proof session.Proof, name string) []status.ConversationID {
	if g.deps.Marks == nil || proof == nil || !mark.Resumable(name) {
		return nil
	}
	var all []status.ConversationID
	for _, subject := range g.deps.Marks.Subjects(mark.Key{User: proof.User(), Name: name}) {
		if c, ok := status.ConversationOf(subject); ok {
			all = append(all, c)
		}
	}
	return all
}

// endResumption leaves the marks to the next socket.
func (s *webSocket) endResumption() {
	if s.resumption != nil {
		s.gateway.receipts.remove(s)
		s.resumption.holder.Close()
	}
}

// heard notes that the browser has sent something.
func (s *webSocket) heard() {
	if s.resumption != nil {
		s.resumption.holder.Heard()
	}
}

// listen subscribes upstream: from where an earlier socket of the browser was, if
// that is known, else from now.
func (s *webSocket) listen(sub *localSub) error {
	f := s.gateway.deps.Fanout
	if s.resumption == nil || !sub.resumable() {
		up, err := f.Subscribe(s.ctx, sub.subject, sub.queue, sub.sid, sub)
		sub.upstream = up
		return err
	}
	from, known := s.resumption.holder.Take(sub.subject)
	if !known {
		up, err := f.Subscribe(s.ctx, sub.subject, "", sub.sid, sub)
		if err != nil {
			return err
		}
		sub.upstream = up
		// The browser knows of nothing before it subscribed, so no receipt is
		// needed for where it began.
		if p, ok := f.Began(up); ok {
			s.setPlace(sub, p)
		}
		return nil
	}
	s.setPlace(sub, fanout.Place(from))
	up, err := f.SubscribeAfter(s.ctx, sub.subject, sub.sid, sub, fanout.Place(from))
	if err != nil {
		s.resumption.holder.Leave(sub.subject, from)
		return err
	}
	sub.upstream = up
	s.gateway.resumed.Add(1)
	return nil
}

// resumable is true for a subscription that a later socket may go on with.
func (sub *localSub) resumable() bool {
	return sub.queue == "" && status.CarriesStatuses(sub.subject)
}

func (s *socket) setPlace(sub *localSub, p fanout.Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.place, sub.placed = p, true
}

// markLocked enters how far the subscriptions of the subjects are; mu is held. Of
// several of one subject the lowest counts, and without any it is forgotten.
func (s *socket) markLocked(subjects ...string) {
	if s.resumption == nil {
		return
	}
	marks := make(map[string]mark.Mark, len(subjects))
	for _, subject := range subjects {
		marks[subject] = mark.Mark{}
	}
	for _, sub := range s.subs {
		m, asked := marks[sub.subject]
		if !asked || !sub.placed || sub.lostWith.Load() != nil {
			continue
		}
		if p := mark.Place(sub.place); m.Subscriptions == 0 {
			m.Place = p
		} else {
			m.Place = mark.Lower(m.Place, p)
		}
		m.Subscriptions++
		marks[sub.subject] = m
	}
	s.resumption.holder.Set(marks)
}

// leaveMarkLocked keeps the place of a subscription that has ended though its
// browser did not end it, for when that subscribes again; mu is held.
func (s *socket) leaveMarkLocked(sub *localSub) {
	if s.resumption != nil && sub.placed {
		s.resumption.holder.Leave(sub.subject, mark.Place(sub.place))
	}
}
