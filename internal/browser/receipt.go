package browser

import (
	"maps"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
)

// A receipt is a PONG of the browser. TCP says that bytes have left this machine,
// not that the browser's program has them; the PONG to a PING that was written
// behind them does. Clients answer a PING in the order of what they read.
//
//	places of all subscriptions are taken ─▶ PING ─▶ … ─▶ PONG: they have arrived
//
// What is delivered between the taking and the PING is confirmed by the next one.

// receipt is how far a subscription was when the browser was asked.
type receipt struct {
	sub   *Subscription
	place fanout.Place
}

// refreshEvery is how often the places of an idle browser are taken over: the
// stream goes on without it, and drops what it need not have.
const refreshEvery = 30 * time.Second

// askReceipt sends a PING if something was delivered since the last one, and none
// is unanswered. A browser whose page is frozen answers when it wakes up; until
// then its marks stay where they are.
func (b *Browser) askReceipt() {
	if b.wantsReceipt() {
		b.resumption.ping()
	}
}

// wantsReceipt is true when a PING is to be sent now; its answer counts from then on.
func (b *Browser) wantsReceipt() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.resumption
	if r.asked != nil || b.closing {
		return false
	}
	// Taken before the places: what is delivered after it is asked for next time.
	if !b.out.TakeFresh() {
		if time.Since(r.refreshed) >= refreshEvery {
			b.confirmAllLocked()
		}
		return false
	}
	asked, changed := b.placesLocked()
	if !changed {
		// An answer to a request, or a status that does not count as handed over
		// yet: look again.
		b.out.SetFresh()
		return false
	}
	r.asked = asked
	return true
}

// Receipted takes a PONG. It is false when no receipt was asked for.
func (b *Browser) Receipted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.resumption
	if r == nil || r.asked == nil {
		return false
	}
	asked := r.asked
	r.asked = nil
	if !b.confirmAllLocked() {
		b.confirmLocked(asked)
	}
	return true
}

// confirmAllLocked confirms all that was handed over, if nothing was delivered since
// the last PING: then that was answered, and the browser is where it can be. mu is
// held.
func (b *Browser) confirmAllLocked() bool {
	all, _ := b.placesLocked()
	if b.out.IsFresh() { // asked behind the places, which may have it already
		return false
	}
	b.confirmLocked(all)
	return true
}

// confirmLocked notes what has arrived; mu is held.
func (b *Browser) confirmLocked(all []receipt) {
	b.resumption.refreshed = time.Now()
	subjects := make([]string, 0, len(all))
	for _, r := range all {
		if b.subs[r.sub.sid] == r.sub {
			r.sub.place, r.sub.placed = r.place, true
			subjects = append(subjects, r.sub.subject)
		}
	}
	b.markLocked(subjects...)
}

// placesLocked returns how far the subscriptions are now, and whether that is news;
// mu is held.
func (b *Browser) placesLocked() (all []receipt, changed bool) {
	for _, sub := range b.subs {
		if !sub.resumable() || sub.gap.Load() != nil {
			continue
		}
		p, ok := b.hub.deps.Fanout.Place(sub.upstream)
		if !ok {
			continue
		}
		changed = changed || !sub.placed || p.Epoch != sub.place.Epoch || p.After != sub.place.After || !maps.Equal(p.Seen, sub.place.Seen)
		all = append(all, receipt{sub, p})
	}
	return all, changed
}
