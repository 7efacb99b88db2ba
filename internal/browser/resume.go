package browser

import (
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/status"
)

// A browser that gives its connection a unique name is resumable: what its
// subscriptions have had is known by receipts (receipt.go) and kept as marks, and
// the next connection of the same user and name goes on from there.

// resumption is what a resumable browser keeps for its next connection.
type resumption struct {
	holder *mark.Holder
	ping   func() // sends a PING behind all that was delivered

	// Guarded by Browser.mu.
	asked     []receipt // what the PING that is unanswered asks for; nil when none is
	refreshed time.Time // when the places were last taken
}

// BeginResumption makes the browser resumable, if the name of its login says so. Its user
// is known. ping sends a PING, whose PONG is told by Receipted.
func (b *Browser) BeginResumption(ping func()) {
	marks := b.hub.deps.Marks
	if marks == nil || !mark.Resumable(b.login.Name) {
		return
	}
	h := marks.Open(mark.Key{User: b.Grant().User, Name: b.login.Name})
	if h == nil {
		return // no room
	}
	b.mu.Lock()
	b.resumption = &resumption{holder: h, ping: ping, refreshed: time.Now()}
	b.mu.Unlock()
	b.hub.receipts.Add(b.id, b)
}

// Likely implements access.Browser: where a browser of that name will go on, the verdict
// at its login is to cover.
func (b *Browser) Likely(u status.UserID) (all []status.ConversationID) {
	name := b.Login().Name
	if b.hub.deps.Marks == nil || !mark.Resumable(name) {
		return nil
	}
	for _, subject := range b.hub.deps.Marks.Subjects(mark.Key{User: u, Name: name}) {
		if c, ok := status.ConversationOf(subject); ok {
			all = append(all, c)
		}
	}
	return all
}

// EndResumption leaves the marks to the next connection.
func (b *Browser) EndResumption() {
	if b.resumption != nil {
		b.hub.receipts.Remove(b.id, b)
		b.resumption.holder.Close()
	}
}

// Heard notes that the browser has sent something.
func (b *Browser) Heard() {
	if b.resumption != nil {
		b.resumption.holder.Heard()
	}
}

// listen subscribes upstream for one that was admitted: from where an earlier connection
// was, if that is known, else from now. What comes is for to.
func (b *Browser) listen(sub *Subscription, to fanout.Receiver) error {
	f := b.hub.deps.Fanout
	if b.resumption == nil || !sub.resumable() {
		up, err := f.Subscribe(b.ctx, sub.subject, sub.queue, sub.sid, to)
		sub.upstream = up
		return err
	}
	from, known := b.resumption.holder.Take(sub.subject)
	if !known {
		up, err := f.Subscribe(b.ctx, sub.subject, "", sub.sid, to)
		if err != nil {
			return err
		}
		sub.upstream = up
		// The browser knows of nothing before it subscribed, so no receipt is
		// needed for where it began.
		if p, ok := f.Began(up); ok {
			b.setPlace(sub, p)
		}
		return nil
	}
	b.setPlace(sub, fanout.Place(from))
	up, err := f.SubscribeAfter(b.ctx, sub.subject, sub.sid, to, fanout.Place(from))
	if err != nil {
		b.resumption.holder.Leave(sub.subject, from)
		return err
	}
	sub.upstream = up
	b.hub.resumed.Add(1)
	return nil
}

// resumable is true for a subscription that a later connection may go on with.
func (sub *Subscription) resumable() bool {
	return sub.queue == "" && status.CarriesStatuses(sub.subject)
}

func (b *Browser) setPlace(sub *Subscription, p fanout.Place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sub.place, sub.placed = p, true
}

// markLocked enters how far the subscriptions of the subjects are; mu is held. Of
// several of one subject the lowest counts, and without any it is forgotten.
func (b *Browser) markLocked(subjects ...string) {
	if b.resumption == nil {
		return
	}
	marks := make(map[string]mark.Mark, len(subjects))
	for _, subject := range subjects {
		marks[subject] = mark.Mark{}
	}
	for _, sub := range b.subs {
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
	b.resumption.holder.Set(marks)
}

// leaveMarkLocked keeps the place of a subscription that has ended though its
// browser did not end it, for when that subscribes again; mu is held.
func (b *Browser) leaveMarkLocked(sub *Subscription) {
	if b.resumption != nil && sub.placed {
		b.resumption.holder.Leave(sub.subject, mark.Place(sub.place))
	}
}
