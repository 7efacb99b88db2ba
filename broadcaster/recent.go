package broadcaster

import (
	"sync"
	"time"
)

// recentLength is how many statuses are remembered that went to the stream last:
// at a service's highest rate more than it takes to see that the stream has failed.
const recentLength = 4096

// recent remembers who waits for an acknowledgement of the stream. One that fails to
// write tells nobody (nats-server 2.15.2: "We don't want to respond back to the
// user"), and the broadcaster does not hear acknowledgements. Safe for concurrent use.
type recent struct {
	mu   sync.Mutex // guards what follows
	sent []sent     // a ring
	next int
}

// sent is one status that was handed to the stream.
type sent struct {
	reply   string
	relayed bool
	at      time.Time
}

func newRecent() *recent { return &recent{sent: make([]sent, recentLength)} }

func (r *recent) note(s sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[r.next] = s
	r.next = (r.next + 1) % len(r.sent)
}

// takeSince removes and returns what was sent since then, the oldest first.
func (r *recent) takeSince(since time.Time) (all []sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.sent {
		s := &r.sent[(r.next+i)%len(r.sent)]
		if s.reply != "" && !s.at.Before(since) {
			all = append(all, *s)
		}
		*s = sent{}
	}
	return all
}
