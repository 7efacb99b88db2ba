package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/pause"
)

// When many topics are opened at once the server and the stream are asked for those
// together that wait meanwhile.
const (
	askTogether   = 64 // topics in one question: what is found must fit into one answer, of 1024 subjects
	openersAtOnce = 4
)

// opener has the topics that wait to be opened.
type opener struct {
	mu      sync.Mutex // guards what follows
	waiting []opening
	working int
}

// opening is a topic that has its upstream subscription, on its way to the server.
type opening struct {
	topic  *topic
	before error // the connection's last one before it
}

// open makes the upstream subscription, and reads how far the stream is when the
// server has it: so nothing is lost in between, and a wildcard gets what comes in
// the order of the stream. What comes until then waits. open does not depend on who
// was first: others wait for it as well.
func (f *Fanout) open(t *topic) {
	if o, ok := f.subscribe(t); ok {
		f.openSoon(o)
	}
}

// subscribe makes the upstream subscription. If it fails the topic is open, with an error.
func (f *Fanout) subscribe(t *topic) (o opening, ok bool) {
	o = opening{t, f.nc.LastError()}
	t.openErr = f.listen(t)
	f.room.opened()
	if t.openErr != nil {
		close(t.opened)
	}
	return o, t.openErr == nil
}

// openSoon opens the topic together with others that wait.
func (f *Fanout) openSoon(o opening) {
	f.opener.mu.Lock()
	f.opener.waiting = append(f.opener.waiting, o)
	worker := f.opener.working < openersAtOnce
	if worker {
		f.opener.working++
	}
	f.opener.mu.Unlock()
	if worker && !f.begin(f.openWaiting) {
		f.openWaiting() // fails, as it has stopped
	}
}

// openWaiting opens what waits, until nothing does.
func (f *Fanout) openWaiting() {
	for {
		f.opener.mu.Lock()
		all := f.opener.waiting[:min(len(f.opener.waiting), askTogether)]
		f.opener.waiting = f.opener.waiting[len(all):]
		if len(all) == 0 {
			f.opener.waiting = nil
			f.opener.working--
			f.opener.mu.Unlock()
			return
		}
		f.opener.mu.Unlock()
		ctx, cancel := context.WithTimeout(f.ctx, f.opts.RepairTimeout)
		err := f.openAll(ctx, all)
		cancel()
		for _, o := range all {
			if err == nil {
				close(o.topic.opened)
				continue
			}
			// By itself: what is wrong need not be wrong with all of them.
			if again := func() { f.openAgain(o, err) }; !f.begin(again) {
				again()
			}
		}
	}
}

// openAgain tries until it is open, or does not get better.
func (f *Fanout) openAgain(o opening, err error) {
	defer close(o.topic.opened)
	ctx, cancel := context.WithTimeout(f.ctx, f.opts.RepairTimeout)
	defer cancel()
	for failures := 1; ; failures++ {
		if err == nil {
			return
		}
		// Without interest nothing comes, and without positions nobody would know what
		// is missing.
		if failures >= f.opts.RepairAttempts || ctx.Err() != nil || isRefusal(err) {
			o.topic.openErr = fmt.Errorf("open %q: %w", o.topic.key.subject, err)
			return
		}
		pause.For(ctx.Done(), time.Duration(failures)*f.opts.RetryWait)
		err = f.openAll(ctx, []opening{o})
	}
}

// errMadeAnew says that what was read is of two streams.
var errMadeAnew = errors.New("the stream was made anew")

// stateSince reads the stream's state once more, behind what was read since before.
func (f *Fanout) stateSince(before StreamState) (StreamState, error) {
	now, err := f.readState()
	if err == nil && now.Epoch != before.Epoch {
		err = errMadeAnew
	}
	return now, err
}

// openAll returns when the server has the subscriptions, and the topics have begun.
func (f *Fanout) openAll(ctx context.Context, all []opening) error {
	if err := f.Flush(ctx); err != nil {
		return err
	}
	var topics []*topic
	var subjects []string
	for _, o := range all {
		if err := f.refusal(o.topic, o.before); err != nil {
			return err
		}
		if at := o.topic.at; at != nil && at.whole {
			topics, subjects = append(topics, o.topic), append(subjects, o.topic.key.subject)
		}
	}
	if len(topics) == 0 {
		return nil
	}
	state, err := f.state()
	if err != nil {
		return err
	}
	last, upTo, err := f.repair.LastSequences(ctx, subjects...)
	if err != nil {
		return err
	}
	// What the stream has dropped by then nobody can tell of any more.
	now, err := f.stateSince(state)
	if err != nil {
		return err
	}
	for _, t := range topics {
		t.begin(beginning{state: now, last: t.own(last), upTo: upTo})
	}
	return nil
}

// own is what is the topic's of the newest sequences of several.
func (t *topic) own(last map[string]uint64) map[string]uint64 {
	own := map[string]uint64{}
	for subject, seq := range last {
		if natsproto.Matches(t.key.subject, subject) {
			own[subject] = seq
		}
	}
	return own
}

// beginning is where a topic begins.
type beginning struct {
	state  StreamState       // read behind what follows
	last   map[string]uint64 // the newest sequences of its subjects
	upTo   uint64            // that is all there is up to it
	from   uint64            // not 0: what was stored from there on is known,
	stored []Stored          // and is this
}

// begin takes what is stored as where the topic begins, and lets pass what has come.
func (t *topic) begin(b beginning) {
	t.order.Lock()
	t.at.epoch = b.state.Epoch
	t.settleLocked(&gap{last: b.last, upTo: b.upTo})
	t.startTailLocked(b)
	waiting := len(t.waiting) > 0 || t.lost
	t.mending = waiting
	t.order.Unlock()
	if waiting {
		t.fanout.begin(t.mend)
	}
}

// listen makes the upstream subscription; its messages go to the topic's shard.
func (f *Fanout) listen(t *topic) (err error) {
	if t.key.queue == "" {
		t.upstream, err = f.nc.ChanSubscribe(t.key.subject, t.shard)
	} else {
		t.upstream, err = f.nc.ChanQueueSubscribe(t.key.subject, t.key.queue, t.shard)
	}
	if err != nil {
		return fmt.Errorf("subscribe to %q: %w", t.key.subject, err)
	}
	f.bySub.Store(t.upstream, t)
	return nil
}
