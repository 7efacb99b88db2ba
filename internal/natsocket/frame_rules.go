package natsocket

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/statuswire/statuswire/internal/refusal"
)

// checkClose looks at the body of a close frame (RFC 6455, section 5.5.1) and says
// how to answer it.
func checkClose(body []byte) refusal.Closing {
	switch {
	case len(body) == 0:
		return refusal.CloseDone()
	case len(body) == 1:
		return refusal.CloseFrame("a close frame with half a close code")
	}
	if code := binary.BigEndian.Uint16(body); !mayBeSent(code) {
		return refusal.CloseFrame(fmt.Sprintf("close code %d, which must not be sent", code))
	}
	if !utf8.Valid(body[2:]) {
		return refusal.CloseNotUTF8()
	}
	return refusal.CloseDone()
}

// mayBeSent is true for the close codes that may stand in a frame (RFC 6455,
// section 7.4, and the registry that it opens): not those for what no frame said
// (1005, 1006, 1015), nor those that nobody has given a meaning.
func mayBeSent(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// maxFrameBytes is the longest data frame that can be meant: what one second's
// operations may have at most. Frames are read in pieces, so it bounds no memory;
// one who announces more is told so before it sends that.
func (e *Endpoint) maxFrameBytes() int64 {
	most := int64(e.opts.MaxControlLineBytes) + int64(e.opts.maxPublishBytes())
	return most * int64(e.opts.Operations.Value)
}

// textState is where a text message stands, which must be UTF-8 (RFC 6455, section
// 8.1). The zero value is between two characters.
type textState struct {
	missing     int  // bytes of the character that is under way
	least, most byte // what the next of them may be
}

// valid returns how many bytes of the piece, which goes on where the last one
// ended, can be UTF-8: all of them, or those before the first that cannot.
func (s *textState) valid(piece []byte) int {
	for i, b := range piece {
		switch {
		case s.missing > 0:
			if b < s.least || b > s.most {
				return i
			}
			s.missing--
			s.least, s.most = 0x80, 0xBF
		case b < utf8.RuneSelf:
		case !s.begin(b):
			return i
		}
	}
	return len(piece)
}

// begin takes the first byte of a character of several (RFC 3629, section 4): what
// may follow leaves out surrogates, what is too large, and what has a shorter form.
func (s *textState) begin(b byte) bool {
	s.least, s.most = 0x80, 0xBF
	switch {
	case b >= 0xC2 && b <= 0xDF:
		s.missing = 1
	case b >= 0xE0 && b <= 0xEF:
		s.missing = 2
	case b >= 0xF0 && b <= 0xF4:
		s.missing = 3
	default:
		return false
	}
	switch b {
	case 0xE0:
		s.least = 0xA0
	case 0xED:
		s.most = 0x9F
	case 0xF0:
		s.least = 0x90
	case 0xF4:
		s.most = 0x8F
	}
	return true
}
