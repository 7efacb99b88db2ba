package natsocket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/refusal"
)

// frameState is where the reader stands in the stream of frames.
type frameState struct {
	started    time.Time
	fragmented bool // a message has begun and not ended
	isText     bool // that message, or the last one
	text       textState
	pinged     bool // a ping is unanswered
	pingedAt   time.Time

	operations uint64           // handled so far
	idle       limit.FrameMeter // frames that brought none
}

// readAll reads and handles frames until the socket ends, and returns why.
//
// Nearly all the time it waits for the next frame, and it does so here and not in
// readFrame: the runtime shrinks a stack only while less than a quarter of it is used,
// so who waits with large frames below it keeps 16 KiB, and who waits so keeps 4.
// TestASilentSocketHasASmallStack keeps it.
func (s *Socket) readAll() error {
	s.frames.started = time.Now()
	for {
		if err := s.awaitFrame(); err != nil {
			return err
		}
		if err := s.readFrame(); err != nil {
			return err
		}
	}
}

// awaitFrame returns when a frame has begun.
func (s *Socket) awaitFrame() error {
	_, err := s.await(2)
	return err
}

// ending is how a socket ends that could not be read on.
func (s *Socket) ending(err error) *refusal.Closing {
	var why *refusal.EndError
	var tooLarge *natsproto.PayloadError
	var c refusal.Closing
	switch {
	case errors.As(err, &why):
		return &why.Closing
	case errors.Is(err, natsproto.ErrControlLineTooLong) && !s.connected:
		c = refusal.CloseLongConnect(s.endpoint.opts.MaxControlLineBytes)
	case errors.Is(err, natsproto.ErrControlLineTooLong):
		c = refusal.CloseTooLarge(natsproto.ErrControlLineTooLong, s.endpoint.opts.MaxControlLineBytes)
	case errors.As(err, &tooLarge):
		c = refusal.CloseTooLarge(natsproto.ErrPayloadTooLarge, tooLarge.Most)
	case errors.Is(err, natsproto.ErrConnectFirst):
		c = refusal.CloseDenied(refusal.ReasonConnectFirst)
	case errors.Is(err, natsproto.ErrUnknownOperation):
		c = refusal.CloseProtocol(err)
	default:
		c = refusal.CloseDone() // the connection is gone
	}
	return &c
}

// readFrame reads one frame and handles what is in it. A data frame is handled in
// pieces, as they arrive.
func (s *Socket) readFrame() error {
	h, err := s.readFrameHeader()
	if err != nil {
		return err
	}
	if h.OpCode.IsControl() {
		if err := s.idleFrame(); err != nil {
			return err
		}
		return s.controlFrame(h)
	}
	if (h.OpCode == ws.OpContinuation) != s.frames.fragmented {
		return refusal.End(refusal.CloseFrame("a message began inside another"))
	}
	if !s.frames.fragmented {
		s.frames.isText = h.OpCode == ws.OpText
	}
	s.frames.fragmented = !h.Fin
	before := s.frames.operations
	for pos := int64(0); pos < h.Length; {
		if _, err := s.await(1); err != nil {
			return err
		}
		piece, err := s.in.Peek(int(min(int64(s.in.Buffered()), h.Length-pos)))
		if err != nil {
			return err
		}
		ws.Cipher(piece, h.Mask, int(pos&3))
		if err := s.feed(piece); err != nil {
			return err
		}
		if _, err := s.in.Discard(len(piece)); err != nil {
			return err
		}
		pos += int64(len(piece))
	}
	if h.Fin && s.frames.text.missing > 0 {
		return refusal.End(refusal.CloseNotUTF8())
	}
	if s.frames.operations == before {
		return s.idleFrame()
	}
	return nil
}

// feed handles a piece of a message. What stands before a byte that cannot be in a
// text is handled still, wherever the network has cut it.
func (s *Socket) feed(piece []byte) error {
	valid := len(piece)
	if s.frames.isText {
		valid = s.frames.text.valid(piece)
	}
	if err := s.parser.Feed(piece[:valid], s.operate); err != nil {
		return err
	}
	if valid < len(piece) {
		return refusal.End(refusal.CloseNotUTF8())
	}
	return nil
}

// idleFrame counts a frame that brings no operation, before the login as well.
func (s *Socket) idleFrame() error {
	v := s.frames.idle.Take(time.Now(), s.endpoint.opts.Frames)
	switch {
	case v.Refused():
		return refusal.End(refusal.CloseTooManyFrames(v.Limit))
	case v.Hit():
		s.Limited(v, "", "")
	}
	return nil
}

// readFrameHeader reads a header and checks it (RFC 6455, section 5.2). Bytes
// are only taken when the header is whole, so that a deadline loses none.
func (s *Socket) readFrameHeader() (ws.Header, error) {
	b, err := s.await(2)
	if err != nil {
		return ws.Header{}, err
	}
	h := ws.Header{Fin: b[0]&0x80 != 0, Rsv: b[0] >> 4 & 7, OpCode: ws.OpCode(b[0] & 15), Masked: b[1]&0x80 != 0}
	size := 2
	switch n := b[1] & 0x7f; n {
	case 126:
		size += 2
	case 127:
		size += 8
	default:
		h.Length = int64(n)
	}
	switch {
	case h.Rsv != 0:
		return h, refusal.End(refusal.CloseFrame("an extension that was not agreed on"))
	case !h.Masked:
		return h, refusal.End(refusal.CloseFrame("a frame that is not masked"))
	case h.OpCode.IsReserved():
		return h, refusal.End(refusal.CloseFrame(fmt.Sprintf("unknown opcode %d", h.OpCode)))
	case h.OpCode.IsControl() && (size > 2 || !h.Fin):
		return h, refusal.End(refusal.CloseFrame("a control frame that is too long or in pieces"))
	}
	if b, err = s.await(size + 4); err != nil {
		return h, err
	}
	switch size {
	case 4:
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		n := binary.BigEndian.Uint64(b[2:])
		if n>>63 != 0 {
			return h, refusal.End(refusal.CloseFrame("a frame length with the highest bit set"))
		}
		h.Length = int64(n)
	}
	if most := s.endpoint.maxFrameBytes(); h.Length > most {
		return h, refusal.End(refusal.CloseLongFrame(most))
	}
	copy(h.Mask[:], b[size:])
	_, err = s.in.Discard(size + 4)
	return h, err
}

func (s *Socket) controlFrame(h ws.Header) error {
	body, err := s.await(int(h.Length))
	if err != nil {
		return err
	}
	ws.Cipher(body, h.Mask, 0)
	switch h.OpCode {
	case ws.OpPing:
		s.Outbox().Put(appendFrame(nil, ws.OpPong, body))
	case ws.OpPong:
		if !s.frames.pingedAt.IsZero() {
			s.Answered(time.Since(s.frames.pingedAt))
			s.frames.pingedAt = time.Time{}
		}
	case ws.OpClose:
		return refusal.End(checkClose(body))
	}
	_, err = s.in.Discard(len(body))
	return err
}

// await returns the next n bytes without taking them. A browser that is silent
// gets a ping; one that stays silent is taken for dead.
func (s *Socket) await(n int) ([]byte, error) {
	for {
		if s.in.Buffered() >= n {
			return s.in.Peek(n)
		}
		if err := s.Conn().SetReadDeadline(s.patience()); err != nil {
			return nil, err
		}
		if s.IsClosing() {
			return nil, io.EOF // the deadline just set would have undone close's
		}
		had := s.in.Buffered()
		b, err := s.in.Peek(n)
		if len(b) > had {
			s.frames.pinged = false // it lives
			s.Heard()
		}
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || s.IsClosing() {
			return nil, err
		}
		if len(b) > had {
			continue
		}
		if err := s.silent(); err != nil {
			return nil, err
		}
	}
}

// silent is for a browser that has said nothing for as long as it may.
func (s *Socket) silent() error {
	switch {
	case !s.connected:
		return refusal.End(refusal.CloseConnectTimeout())
	case s.frames.pinged:
		return refusal.End(refusal.CloseDead())
	}
	s.frames.pinged = true
	if s.frames.pingedAt.IsZero() {
		s.frames.pingedAt = time.Now()
	}
	s.Outbox().Put(appendFrame(nil, ws.OpPing, nil))
	return nil
}

// patience is until when the browser may be silent.
func (s *Socket) patience() time.Time {
	opts := &s.endpoint.opts
	switch {
	case !s.connected:
		return s.frames.started.Add(opts.ConnectTimeout)
	case s.frames.pinged:
		return time.Now().Add(opts.PongTimeout)
	}
	return time.Now().Add(opts.PingInterval)
}
