package fanout

// Subscription is one receiver's interest in a topic.
type Subscription struct {
	Subject string
	Queue   string
	SID     string // the receiver's own name for it

	receiver Receiver
	topic    *topic
	index    int // place in topic.members while it is one; guarded by topic.mu
	member   bool
}
