package fanout

import (
	"context"

	"github.com/nats-io/nats.go"
)

// ChecksAtOnce is how many topics may be checked at a time.
const ChecksAtOnce = checksAtOnce

// Take lets m pass as if it had come from upstream for the topic of the subject.
func (f *Fanout) Take(subject string, m *nats.Msg) {
	f.mu.Lock()
	t := f.topics[topicKey{subject, ""}]
	f.mu.Unlock()
	t.take(newMessage(m))
}

// Deaf loses what is republished for the topic while do runs.
func (f *Fanout) Deaf(subject string, do func()) error {
	f.mu.Lock()
	t := f.topics[topicKey{subject, ""}]
	f.mu.Unlock()
	f.bySub.Delete(t.upstream)
	defer f.bySub.Store(t.upstream, t)
	do()
	return f.barrier(context.Background(), t, nil)
}

// Live is true when the topic delivers to the receiver itself.
func (s *Subscription) Live() bool { return s.catchUp.Load() == nil }

// Following is true when the replay is over and what is live is still looked at.
func (s *Subscription) Following() bool {
	c := s.catchUp.Load()
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == following
}
