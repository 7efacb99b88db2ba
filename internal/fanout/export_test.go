package fanout

import "github.com/nats-io/nats.go"

// Take lets m pass as if it had come from upstream for the topic of the subject.
func (f *Fanout) Take(subject string, m *nats.Msg) {
	f.mu.Lock()
	t := f.topics[topicKey{subject, ""}]
	f.mu.Unlock()
	t.take(newMessage(m))
}

// Deaf takes the topic's upstream interest away while do runs, so that what is
// republished meanwhile is lost.
func (f *Fanout) Deaf(subject string, do func()) error {
	f.mu.Lock()
	t := f.topics[topicKey{subject, ""}]
	f.mu.Unlock()
	if err := t.upstream.Unsubscribe(); err != nil {
		return err
	}
	if err := f.nc.Flush(); err != nil {
		return err
	}
	do()
	f.bySub.Delete(t.upstream)
	if err := f.listen(t); err != nil {
		return err
	}
	return f.nc.Flush()
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
