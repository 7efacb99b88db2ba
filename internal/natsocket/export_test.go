package natsocket

import (
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/refusal"
)

// Encode makes the frame of a message for a browser that reads headers.
func Encode(m *fanout.Message, sid string) []byte { return encodeMessage(m, sid, variantHeaders) }

// Receiver is a subscription of a browser that reads headers.
func (s *Socket) Receiver(subject, sid string) fanout.Receiver {
	r := &receiver{variant: variantHeaders}
	r.Init(&s.Browser, subject, "", sid)
	return r
}

// ReadAll reads until the socket ends, and says why.
func (s *Socket) ReadAll() refusal.Closing { return *s.ending(s.readAll()) }

// ValidText feeds a text in pieces; it says how many bytes can be UTF-8, and whether
// all of it is.
func ValidText(pieces ...[]byte) (n int, whole bool) {
	var s textState
	for _, piece := range pieces {
		valid := s.valid(piece)
		n += valid
		if valid < len(piece) {
			return n, false
		}
	}
	return n, s.missing == 0
}
