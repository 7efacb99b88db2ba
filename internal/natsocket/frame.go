package natsocket

import (
	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/internal/natsproto"
)

// linesFrame wraps protocol lines in one binary frame, as NATS clients expect.
func linesFrame(lines []byte) []byte {
	return appendFrame(make([]byte, 0, len(lines)+maxFrameHeaderBytes), ws.OpBinary, lines)
}

// messageFrame wraps a message in one frame.
func messageFrame(m natsproto.Msg) []byte {
	size := len(m.Subject) + len(m.SID) + len(m.Reply) + len(m.Header) + len(m.Payload) + natsproto.MaxMsgOverhead
	// The frame's header is as long as its length wants, which is known only
	// afterwards: leave room in front of the lines.
	b := make([]byte, maxFrameHeaderBytes, size+maxFrameHeaderBytes)
	b = natsproto.AppendMsg(b, m)
	var header [maxFrameHeaderBytes]byte
	h := appendFrameHeader(header[:0], ws.OpBinary, len(b)-maxFrameHeaderBytes)
	start := maxFrameHeaderBytes - len(h)
	copy(b[start:], h)
	return b[start:]
}

// appendFrame appends a server's WebSocket frame (RFC 6455, section 5.2):
// final, not masked.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = appendFrameHeader(dst, op, len(payload))
	return append(dst, payload...)
}

// maxFrameHeaderBytes is the longest header of a frame that is not masked.
const maxFrameHeaderBytes = 10

func appendFrameHeader(dst []byte, op ws.OpCode, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length <= 0xffff:
		return append(dst, 126, byte(length>>8), byte(length))
	}
	n := uint64(length)
	return append(dst, 127, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
