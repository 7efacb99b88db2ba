package gateway

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/natsproto"
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
	sub   *localSub
	place fanout.Place
}

// receiptRounds is into how many parts the resumable sockets are divided, each
// asked in its turn, so that not all PINGs go out at once.
const receiptRounds = 20

// refreshEvery is how often the places of an idle socket are taken over: the
// stream goes on without it, and drops what it need not have.
const refreshEvery = 30 * time.Second

// receipts asks the resumable sockets for receipts.
type receipts struct {
	interval time.Duration
	done     chan struct{}
	once     sync.Once

	mu     sync.Mutex // guards rounds
	rounds [receiptRounds]map[*webSocket]struct{}
}

func newReceipts(interval time.Duration) *receipts {
	r := &receipts{interval: interval, done: make(chan struct{})}
	for i := range r.rounds {
		r.rounds[i] = map[*webSocket]struct{}{}
	}
	return r
}

func (r *receipts) add(s *webSocket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rounds[s.id%receiptRounds][s] = struct{}{}
}

func (r *receipts) remove(s *webSocket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rounds[s.id%receiptRounds], s)
}

// run asks each socket once in an interval until stop.
func (r *receipts) run() {
	tick := time.NewTicker(max(time.Millisecond, r.interval/receiptRounds))
	defer tick.Stop()
	var round []*webSocket
	for i := 0; ; i = (i + 1) % receiptRounds {
		select {
		case <-r.done:
			return
		case <-tick.C:
		}
		r.mu.Lock()
		round = slices.AppendSeq(round[:0], maps.Keys(r.rounds[i]))
		r.mu.Unlock()
		for _, s := range round {
			s.askReceipt()
		}
		clear(round) // holds no socket that has ended
	}
}

func (r *receipts) stop() { r.once.Do(func() { close(r.done) }) }

// askReceipt sends a PING if something was delivered since the last one, and none
// is unanswered. A browser whose page is frozen answers when it wakes up; until
// then its marks stay where they are.
func (s *webSocket) askReceipt() {
	if s.wantsReceipt() {
		s.send([]byte(natsproto.PingLine))
	}
}

// wantsReceipt is true when a PING is to be sent now; its answer counts from then on.
func (s *webSocket) wantsReceipt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.resumption
	if r.asked != nil || s.closing {
		return false
	}
	// Taken before the places: what is delivered after it is asked for next time.
	if !s.out.TakeFresh() {
		if time.Since(r.refreshed) >= refreshEvery {
			s.confirmAllLocked()
		}
		return false
	}
	asked, changed := s.placesLocked()
	if !changed {
		// An answer to a request, or a status that does not count as handed over
		// yet: look again.
		s.out.SetFresh()
		return false
	}
	r.asked = asked
	return true
}

// receipted takes a PONG. It is false when no receipt was asked for.
func (s *webSocket) receipted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.resumption
	if r == nil || r.asked == nil {
		return false
	}
	asked := r.asked
	r.asked = nil
	if !s.confirmAllLocked() {
		s.confirmLocked(asked)
	}
	return true
}

// confirmAllLocked confirms all that was handed over, if nothing was delivered since
// the last PING: then that was answered, and the browser is where it can be. mu is
// held.
func (s *webSocket) confirmAllLocked() bool {
	all, _ := s.placesLocked()
	if s.out.IsFresh() { // asked behind the places, which may have it already
		return false
	}
	s.confirmLocked(all)
	return true
}

// confirmLocked notes what has arrived; mu is held.
func (s *webSocket) confirmLocked(all []receipt) {
	s.resumption.refreshed = time.Now()
	subjects := make([]string, 0, len(all))
	for _, r := range all {
		if s.subs[r.sub.sid] == r.sub {
			r.sub.place, r.sub.placed = r.place, true
			subjects = append(subjects, r.sub.subject)
		}
	}
	s.markLocked(subjects...)
}

// placesLocked returns how far the subscriptions are now, and whether that is news;
// mu is held.
func (s *webSocket) placesLocked() (all []receipt, changed bool) {
	for _, sub := range s.subs {
		if !sub.resumable() || sub.gap.Load() != nil {
			continue
		}
		p, ok := s.gateway.deps.Fanout.Place(sub.upstream)
		if !ok {
			continue
		}
		changed = changed || !sub.placed || p.Epoch != sub.place.Epoch || p.After != sub.place.After || !maps.Equal(p.Seen, sub.place.Seen)
		all = append(all, receipt{sub, p})
	}
	return all, changed
}
