package gateway

import (
	"context"

	"github.com/statuswire/statuswire/internal/natsproto"
)

// operate handles one operation; the next one waits until it returns. An error
// ends the socket.
func (s *socket) operate(op *natsproto.Operation) error {
	if s.isClosing() {
		return end(closeDone)
	}
	if op.Kind == natsproto.Connect {
		if s.connected {
			return end(closeDenied(reasonConnectTwice))
		}
		return s.doConnect(op.Connect)
	}
	if !s.connected {
		return end(closeDenied(reasonConnectFirst))
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
func (s *socket) doPing() error {
	if s.flushDue {
		ctx, cancel := context.WithTimeout(s.ctx, s.gateway.opts.VerdictTimeout)
		err := s.gateway.deps.Fanout.Flush(ctx)
		cancel()
		if err != nil {
			return end(closePassing(reasonUnavailable))
		}
		s.flushDue = false
	}
	s.send([]byte(natsproto.PongLine))
	return nil
}

// ok confirms an operation to a client that asked for it.
func (s *socket) ok() {
	if s.connect.Verbose {
		s.send([]byte(natsproto.OKLine))
	}
}
