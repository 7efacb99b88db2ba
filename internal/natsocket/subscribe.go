package natsocket

// doSub handles SUB. A refusal names the subscription and leaves the rest alone.
func (s *Socket) doSub(subject, queue, sid string) {
	if s.Sub(sid) != nil {
		s.ok() // as nats-server: the first one stays
		return
	}
	to := &receiver{variant: s.variant}
	to.Init(&s.Browser, subject, queue, sid)
	r, kept := s.Subscribe(&to.Subscription, to)
	if r.Is() {
		s.refuseSub(subject, queue, r)
		return
	}
	if to.Conversation() != "" {
		s.flushDue = true
	}
	if kept {
		s.ok()
	}
}

// doUnsub handles UNSUB, which always passes.
func (s *Socket) doUnsub(sid string, most int) {
	if sub := s.Sub(sid); sub != nil {
		s.Unsubscribe(sub, most)
	}
	s.ok()
}
