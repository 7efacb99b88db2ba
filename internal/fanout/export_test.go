package fanout

import (
	"context"

	"github.com/nats-io/nats.go"
)

// ChecksAtOnce is how many topics may be checked at a time.
const ChecksAtOnce = checksAtOnce

// Take lets m pass as if it had come from upstream for the topic of the subject.
func (f *Fanout) Take(subject string, m *nats.Msg) { f.Topic(subject).Pass(m) }

// Topic is who takes the messages of the subject now, nil for nobody.
func (f *Fanout) Topic(subject string) *Topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topics[topicKey{subject, ""}]
}

// Topic is a topic.
type Topic = topic

// Pass lets m pass as if it had come from upstream for the topic.
func (t *Topic) Pass(ms ...*nats.Msg) {
	var run []*Message
	for _, m := range ms {
		run = append(run, newMessage(m))
	}
	t.take(run...)
}

// After is up to where everything was handed over.
func (t *Topic) After() uint64 { return t.at.after.Load() }

// CheckAll asks for every topic.
func (f *Fanout) CheckAll() { f.checks.allSoon() }

// Deaf loses what is republished for the topic while do runs.
func (f *Fanout) Deaf(subject string, do func()) error {
	t := f.Topic(subject)
	f.bySub.Delete(t.upstream)
	defer f.bySub.Store(t.upstream, t)
	do()
	return f.barrier(context.Background(), t)
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
