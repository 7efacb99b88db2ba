package gateway

import (
	"context"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/refusal"
)

// operate handles one operation; the next one waits until it returns. An error
// ends the socket.
func (s *webSocket) operate(op *natsproto.Operation) error {
	if s.isClosing() {
		return refusal.End(refusal.CloseDone())
	}
	s.frames.operations++
	if op.Kind == natsproto.Connect {
		if s.connected {
			return refusal.End(refusal.CloseDenied(refusal.ReasonConnectTwice))
		}
		return s.doConnect(op.Connect)
	}
	if op.Kind == natsproto.Pong && s.receipted() {
		return nil // we have asked for it
	}
	if v := s.operation(); v.Refused() {
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

// operation counts one operation.
func (s *webSocket) operation() limit.Verdict {
	s.mu.Lock()
	v := s.meter.Operation(time.Now())
	s.mu.Unlock()
	if v.Hit() && v.Dry {
		s.gateway.limited(&s.socket, v, "", "")
	}
	return v
}

// doPing answers when everything before it took effect, the interest of earlier
// SUBs at the server included.
func (s *webSocket) doPing() error {
	if s.flushDue {
		ctx, cancel := context.WithTimeout(s.ctx, s.gateway.opts.VerdictTimeout)
		err := s.gateway.deps.Fanout.Flush(ctx)
		cancel()
		if err != nil {
			return refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
		}
		s.flushDue = false
	}
	s.send([]byte(natsproto.PongLine))
	return nil
}

// ok confirms an operation to a client that asked for it.
func (s *webSocket) ok() {
	if s.connect.Verbose {
		s.send([]byte(natsproto.OKLine))
	}
}
