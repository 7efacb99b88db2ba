package fanout

import "sync/atomic"

// Subscription is one receiver's interest in a topic.
type Subscription struct {
	Subject string
	Queue   string
	SID     string // the receiver's own name for it

	receiver Receiver
	topic    *topic
	catchUp  atomic.Pointer[catchUp] // stands in for the receiver until it is live; else nil
	index    int                     // place in topic.members while it is one; guarded by topic.mu
	member   bool
}
