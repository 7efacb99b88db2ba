package fanout

import "sync/atomic"

// Subscription is one receiver's interest in a topic.
type Subscription struct {
	Subject string
	Queue   string
	SID     string // the receiver's own name for it

	receiver Receiver
	topic    *topic
	began    Place // where it began, if that is known
	placed   bool
	catchUp  atomic.Pointer[catchUp] // stands in for the receiver until it is live; else nil
	index    int                     // place in topic.members while it is one; guarded by topic.mu
	member   bool
}

// stop ends what is read for the subscription.
func (s *Subscription) stop() {
	if c := s.catchUp.Load(); c != nil {
		c.end()
	}
}

// end tells the receiver that the subscription was ended.
func (s *Subscription) end(reason string) {
	if c := s.catchUp.Load(); c != nil {
		c.Ended(s, reason)
		return
	}
	s.receiver.Ended(s, reason)
}
