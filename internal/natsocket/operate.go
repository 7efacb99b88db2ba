package natsocket

import (
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/refusal"
)

// operate handles one operation; the next one waits until it returns. An error
// ends the socket.
func (s *Socket) operate(op *natsproto.Operation) error {
	if s.IsClosing() {
		return refusal.End(refusal.CloseDone())
	}
	s.frames.operations++
	if op.Kind == natsproto.Connect {
		if s.connected {
			return refusal.End(refusal.CloseDenied(refusal.ReasonConnectTwice))
		}
		return s.doConnect(op.Connect)
	}
	if op.Kind == natsproto.Pong && s.Receipted() {
		return nil // we have asked for it
	}
	if v := s.Operation(); v.Refused() {
		return refusal.End(refusal.CloseTooFast(v.Limit))
	}
	switch op.Kind {
	case natsproto.Ping:
		return s.doPing()
	case natsproto.Sub:
		s.doSub(string(op.Subject), string(op.Queue), string(op.SID))
	case natsproto.Unsub:
		s.doUnsub(string(op.SID), op.Max)
	case natsproto.Pub:
		return s.doPub(op)
	}
	return nil
}

// doPing answers when everything before it took effect, the interest of earlier
// SUBs at the server included.
func (s *Socket) doPing() error {
	if s.flushDue {
		if err := s.Flush(); err != nil {
			return refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
		}
		s.flushDue = false
	}
	s.send([]byte(natsproto.PongLine))
	return nil
}

// ok confirms an operation to a client that asked for it.
func (s *Socket) ok() {
	if s.verbose {
		s.send([]byte(natsproto.OKLine))
	}
}
