package fanout

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// What is remembered must not outlive what is stored. What age or size takes goes from
// the stream's beginning, and its state tells; that is looked at once a second. What is
// deleted on purpose tells nobody, so the fan-out hears the orders: they are requests
// like any other.
const (
	purgeOrder  = "$JS.API.STREAM.PURGE.STATUS"
	deleteOrder = "$JS.API.STREAM.MSG.DELETE.STATUS"
)

// stateFresh is for how long the stream's state is taken for the one of now.
const stateFresh = time.Second

// streamState is the stream's state as it was last read. Safe for concurrent use.
type streamState struct {
	mu   sync.Mutex // guards what follows; held while the stream is asked
	last StreamState
	err  error
	read time.Time
}

// state is the stream's of a second ago at most. An error counts as long: who asks does
// without.
func (f *Fanout) state() (StreamState, error) {
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	if time.Since(f.stream.read) < stateFresh {
		return f.stream.last, f.stream.err
	}
	return f.readStateLocked()
}

// readState asks the stream now.
func (f *Fanout) readState() (StreamState, error) {
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	return f.readStateLocked()
}

func (f *Fanout) readStateLocked() (StreamState, error) {
	// Whoever asks first asks for others too, and may leave meanwhile.
	ctx, cancel := context.WithTimeout(f.ctx, f.opts.RepairTimeout)
	defer cancel()
	f.stream.last, f.stream.err = f.repair.State(ctx)
	f.stream.read = time.Now()
	return f.stream.last, f.stream.err
}

// ordered is called when something of the stream is ordered to be deleted.
func (f *Fanout) ordered(m *nats.Msg) {
	var order struct {
		Filter string `json:"filter"`
	}
	if m.Subject == purgeOrder {
		_ = json.Unmarshal(m.Data, &order) // what cannot be read may be about everything
	}
	f.forgetPurged(order.Filter)
}

// forgetPurged has all topics forget what they remember that share subjects with the
// filter; all topics for "". They remember nothing until the order was carried out:
// what was stored before may still be on its way.
func (f *Fanout) forgetPurged(filter string) {
	f.mu.Lock()
	var about []*topic
	for _, t := range f.topics {
		if t.tail != nil && (filter == "" || overlap(filter, t.key.subject)) {
			f.purged[t] = false
			about = append(about, t)
		}
	}
	f.mu.Unlock()
	for _, t := range about {
		t.order.Lock()
		t.tail.Close()
		t.order.Unlock()
	}
}

// noteUnheard has nothing served from memory any more if it is the orders that the fan-out
// may not hear.
func (f *Fanout) noteUnheard(refusal error) {
	for _, subject := range []string{purgeOrder, deleteOrder} {
		if strings.Contains(refusal.Error(), subject) && !f.unheard.Swap(true) {
			f.opts.Logger.Error("nobody is served from memory, as nats.conf does not let the fan-out hear what is deleted: allow $FANOUT_KEY to subscribe to it", "subject", subject)
		}
	}
}

// isPurged is true when the topic must not remember anything now.
func (f *Fanout) isPurged(t *topic) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, purged := f.purged[t]
	return purged
}

// purgedBefore is the topics whose purge was there a turn ago already, when the stream
// was last asked: since then it has been carried out.
func (f *Fanout) purgedBefore() (all []*topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t, waited := range f.purged {
		if waited {
			all = append(all, t)
		}
		f.purged[t] = true
	}
	return all
}

// rememberAgain has topics remember what comes behind the stream's last sequence.
func (f *Fanout) rememberAgain(topics []*topic, last uint64) {
	for _, t := range topics {
		t.order.Lock()
		f.mu.Lock()
		waited := f.purged[t] // not purged again meanwhile
		if waited {
			delete(f.purged, t)
		}
		ended := f.topics[t.key] != t
		f.mu.Unlock()
		if waited && !ended {
			t.tail.Begin(max(last, t.at.newest()), nil)
		}
		t.order.Unlock()
	}
}

// overlap is true when some subject matches both patterns.
func overlap(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; ; i++ {
		switch {
		case i == len(as) || i == len(bs):
			return len(as) == len(bs)
		case as[i] == ">" || bs[i] == ">":
			return true
		case as[i] != bs[i] && as[i] != "*" && bs[i] != "*":
			return false
		}
	}
}
