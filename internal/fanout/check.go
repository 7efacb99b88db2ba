package fanout

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/pause"
)

// RePublish is at-most-once, and a publish that is answered as a duplicate is
// never republished (nats-server 2.15.2): a status can be stored and never come.
// The next one on its subject would show the hole; until there is one, only the
// stream can tell. So each topic asks it: from time to time, and at once when it is
// likely that something was lost.

// checks says which topics are due. Safe for concurrent use.
type checks struct {
	mu      sync.Mutex // guards what follows and every topic's check
	some    *sync.Cond // something is due, or stopped
	turns   []map[*topic]struct{}
	entered int      // topics so far
	due     []*topic // first in, first out; those that are due no more stand in it as well
	stopped bool
}

// checkState is what checks keeps with a topic.
type checkState struct {
	turn int
	due  bool
}

func newChecks(turns int) *checks {
	q := &checks{turns: make([]map[*topic]struct{}, turns)}
	q.some = sync.NewCond(&q.mu)
	for i := range q.turns {
		q.turns[i] = map[*topic]struct{}{}
	}
	return q
}

// enter gives the topic a turn.
func (q *checks) enter(t *topic) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t.check.turn = q.entered % len(q.turns)
	q.entered++
	q.turns[t.check.turn][t] = struct{}{}
}

func (q *checks) forget(t *topic) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.turns[t.check.turn], t)
	t.check.due = false
}

// soon has the topic checked as soon as possible.
func (q *checks) soon(t *topic) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(t)
}

// allSoon has every topic checked as soon as possible.
func (q *checks) allSoon() {
	for turn := range q.turns {
		q.turnSoon(turn)
	}
}

func (q *checks) turnSoon(turn int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for t := range q.turns[turn] {
		q.addLocked(t)
	}
}

func (q *checks) addLocked(t *topic) {
	if _, entered := q.turns[t.check.turn][t]; !entered || t.check.due {
		return
	}
	t.check.due = true
	q.due = append(q.due, t)
	q.some.Signal()
}

// next waits for topics that are due, and returns some of them. There are none after
// stop.
func (q *checks) next() (due []*topic) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.due) == 0 && !q.stopped {
			q.some.Wait()
		}
		if q.stopped {
			return nil
		}
		for len(q.due) > 0 && len(due) < askTogether {
			t := q.due[0]
			q.due = q.due[1:]
			if t.check.due {
				t.check.due = false
				due = append(due, t)
			}
		}
		if len(due) > 0 {
			return due
		}
	}
}

func (q *checks) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.some.Broadcast()
}

const (
	// maxTurns is in how many parts the topics are checked, one after the other,
	// within CheckEvery: very many do not ask all at once.
	maxTurns = 30
	minTurn  = 100 * time.Millisecond

	// checksAtOnce bounds what is asked at a time.
	checksAtOnce = 4

	// leaderElected is published when the stream gets another leader: what the old
	// one has stored last it may not have republished. Only in a cluster, and only
	// for a stream with replicas (nats-server 2.15.2, sendStreamLeaderElectAdvisory).
	leaderElected = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.STATUS"
)

func turnsIn(every time.Duration) int {
	return int(max(1, min(every/minTurn, maxTurns)))
}

// watch says when topics are due: by turns, one whose messages the NATS client has
// dropped, and all of them after a leader change or when the connection was away.
func (f *Fanout) watch() error {
	elections := make(chan *nats.Msg, 8)
	leader, err := f.nc.ChanSubscribe(leaderElected, elections)
	if err != nil {
		return err
	}
	orders := make(chan *nats.Msg, 64)
	var deletions []*nats.Subscription
	for _, subject := range []string{purgeOrder, deleteOrder} {
		sub, err := f.nc.ChanSubscribe(subject, orders)
		if err != nil {
			return err
		}
		deletions = append(deletions, sub)
	}
	logging := f.nc.ErrorHandler()
	f.nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		switch {
		case errors.Is(err, nats.ErrSlowConsumer) && slices.Contains(deletions, sub):
			f.forgetPurged("") // which order it was nobody knows
		case errors.Is(err, nats.ErrSlowConsumer):
			f.dropped(sub)
		case isRefusal(err):
			f.noteUnheard(err)
			select {
			case f.refused <- struct{}{}:
			default: // it will take this one along
			}
		}
		if logging != nil {
			logging(nc, sub, err)
		}
	})
	connected := f.nc.StatusChanged(nats.CONNECTED)
	f.running.Go(func() {
		defer func() { // fails when the connection is closed
			for _, sub := range append(deletions, leader) {
				_ = sub.Unsubscribe()
			}
		}()
		defer f.nc.SetErrorHandler(logging)
		defer f.nc.RemoveStatusListener(connected)
		turns := len(f.checks.turns)
		ticker := time.NewTicker(f.opts.CheckEvery / time.Duration(turns))
		defer ticker.Stop()
		for turn := 0; ; {
			select {
			case <-ticker.C:
				f.checks.turnSoon(turn)
				turn = (turn + 1) % turns
				f.endExpired()
			case <-elections:
				f.checks.allSoon()
			case m := <-orders:
				f.ordered(m)
			case <-connected:
				f.forgetPurged("") // what was ordered meanwhile was not heard
				f.checkAgain()
			case <-f.ctx.Done():
				f.checks.stop()
				return
			}
		}
	})
	f.running.Go(f.watchEpoch)
	f.running.Go(f.findRefused)
	for range checksAtOnce {
		f.running.Go(f.check)
	}
	return nil
}

// checkAgain checks every topic after the connection was away: when the server
// knows the interest again, so that nothing is lost behind the check.
func (f *Fanout) checkAgain() {
	ctx, cancel := context.WithTimeout(f.ctx, f.opts.RepairTimeout)
	defer cancel()
	if f.Flush(ctx) == nil { // otherwise it is away again
		f.checks.allSoon()
	}
}

// dropped is called when the NATS client had no room for messages of sub.
func (f *Fanout) dropped(sub *nats.Subscription) {
	if v, ok := f.bySub.Load(sub); ok {
		t := v.(*topic)
		t.dropping.Store(true)
		f.checks.soon(t)
	}
}

// check asks for due topics, some at a time, until Stop.
func (f *Fanout) check() {
	for {
		due := f.checks.next()
		if len(due) == 0 {
			return
		}
		err := f.checkTopics(due...)
		if err != nil && len(due) > 1 {
			// One by one: what is wrong need not be wrong with all of them.
			for _, t := range due {
				f.checkOne(t)
			}
			continue
		}
		f.checked(due[0], err)
	}
}

func (f *Fanout) checkOne(t *topic) { f.checked(t, f.checkTopics(t)) }

// checked has a check that failed made again.
func (f *Fanout) checked(t *topic, err error) {
	if err == nil || f.ctx.Err() != nil {
		return
	}
	f.opts.Logger.Warn("cannot check a topic", "subject", t.key.subject, "error", err)
	f.checks.soon(t)
	pause.For(f.ctx.Done(), 10*f.opts.RetryWait)
}

// checkTopics asks the stream whether it has newer statuses than were delivered, and
// mends what is missing.
func (f *Fanout) checkTopics(topics ...*topic) error {
	ctx, cancel := context.WithTimeout(f.ctx, f.opts.RepairTimeout)
	defer cancel()
	subjects := make([]string, 0, len(topics))
	for _, t := range topics {
		select {
		case <-t.opened:
		case <-f.ctx.Done():
			return f.ctx.Err()
		}
		if t.dropping.CompareAndSwap(true, false) {
			_ = f.barrier(ctx, t) // more may be dropped until there is room; if it takes too long, ask now
		}
		subjects = append(subjects, t.key.subject)
	}
	last, upTo, err := f.repair.LastSequences(ctx, subjects...)
	if err != nil {
		return err
	}
	for _, t := range topics {
		g := &gap{subject: t.key.subject, last: t.own(last), upTo: upTo}
		if t.openErr != nil || t.nothingMissing(g) {
			continue
		}
		_ = f.barrier(ctx, t) // what is on its way need not be fetched
		t.mendMissing(g)
	}
	return nil
}

// nothingMissing is true when everything up to the end of g was delivered.
func (t *topic) nothingMissing(g *gap) bool {
	t.order.Lock()
	defer t.order.Unlock()
	return t.nothingMissingLocked(g)
}

func (t *topic) nothingMissingLocked(g *gap) bool {
	if _, open := g.place(t.at); open {
		return false
	}
	t.knownLocked(g.upTo)
	return true
}

// mendMissing fetches what is missing.
func (t *topic) mendMissing(g *gap) {
	t.order.Lock()
	defer t.order.Unlock()
	if t.nothingMissingLocked(g) {
		return
	}
	if i := slices.IndexFunc(t.waiting, func(w waiter) bool { return w.gap != nil }); i >= 0 {
		t.waiting[i].gap = g // what was asked before is not mended yet
		return
	}
	t.mendLocked(waiter{gap: g})
}
