package natsocket_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/internal/natsocket"
)

// frame is a client's frame with every bit as wanted.
func frame(b0 byte, masked bool, length uint64, body []byte) []byte {
	out := []byte{b0}
	bit := byte(0)
	if masked {
		bit = 0x80
	}
	switch {
	case length < 126:
		out = append(out, bit|byte(length))
	case length < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, bit|126), uint16(length))
	default:
		out = binary.BigEndian.AppendUint64(append(out, bit|127), length)
	}
	if masked {
		mask := [4]byte{1, 2, 3, 4}
		body = bytes.Clone(body)
		ws.Cipher(body, mask, 0)
		out = append(out, mask[:]...)
	}
	return append(out, body...)
}

// closeWith is a browser's close frame.
func closeWith(code uint16, reason string) []byte {
	body := append(binary.BigEndian.AppendUint16(nil, code), reason...)
	return frame(0x88, true, uint64(len(body)), body)
}

func TestFramesThatBreakTheRules(t *testing.T) {
	e := newEndpoint(t, judge{})
	ping, begun := []byte("PING\r\n"), []byte("CONNEC")
	tests := []struct {
		name string
		in   []byte
		code uint16
		why  string
	}{
		{"not masked", frame(0x82, false, 6, ping), 1002, "a frame that is not masked"},
		{"an extension", frame(0xC2, true, 6, ping), 1002, "an extension that was not agreed on"},
		{"an unknown opcode", frame(0x83, true, 6, ping), 1002, "unknown opcode 3"},
		{"a ping of 126 bytes", frame(0x89, true, 126, make([]byte, 126)), 1002, "a control frame that is too long or in pieces"},
		{"a ping in pieces", frame(0x09, true, 6, ping), 1002, "a control frame that is too long or in pieces"},
		{"a continuation of nothing", frame(0x80, true, 6, ping), 1002, "a message began inside another"},
		{"a message inside another", append(frame(0x02, true, 2, begun[:2]), frame(0x82, true, 4, begun[2:])...), 1002, "a message began inside another"},
		{"a length beyond 63 bits", frame(0x82, true, 1<<63, nil), 1002, "a frame length with the highest bit set"},
		{"a close", frame(0x88, true, 2, []byte{3, 232}), 1000, ""},
		{"a close without a code", frame(0x88, true, 0, nil), 1000, ""},
		{"a close with a reason", closeWith(1001, "going, élan"), 1000, ""},
		{"a close of an application's own", closeWith(4999, ""), 1000, ""},
		{"a close with half a code", frame(0x88, true, 1, []byte{3}), 1002, "a close frame with half a close code"},
		{"a close code of nobody", closeWith(999, ""), 1002, "close code 999, which must not be sent"},
		{"a close code without a meaning", closeWith(1004, ""), 1002, "close code 1004, which must not be sent"},
		{"a close code for no code", closeWith(1005, ""), 1002, "close code 1005, which must not be sent"},
		{"a close code for no close", closeWith(1006, ""), 1002, "close code 1006, which must not be sent"},
		{"a close code for no TLS", closeWith(1015, ""), 1002, "close code 1015, which must not be sent"},
		{"a close code that is not given out", closeWith(2999, ""), 1002, "close code 2999, which must not be sent"},
		{"a close code above all", closeWith(5000, ""), 1002, "close code 5000, which must not be sent"},
		{"a close whose reason is not UTF-8", closeWith(1000, "caf\xe9"), 1007, "a text that is not UTF-8"},
		{"a text that is not UTF-8", frame(0x81, true, 11, []byte("CONNECT \xff\r\n")), 1007, "a text that is not UTF-8"},
		{"a text that ends inside a character", frame(0x81, true, 10, []byte("CONNECT \xe2\x82")), 1007, "a text that is not UTF-8"},
		{"a text whose character goes on in the next frame", append(frame(0x01, true, 10, []byte("CONNECT \xe2\x82")), frame(0x80, true, 3, []byte("\xac\r\n"))...), 1008, "authorization violation"},
		{"bytes that are not UTF-8 in a binary frame", frame(0x82, true, 11, []byte("CONNECT \xff\r\n")), 1008, "authorization violation"},
		{"a frame longer than a second's operations, whose payload never comes", frame(0x82, true, 100*(4096+65536)+1, nil), 1009, "too large"},
		{"a text of the largest size that can be told", frame(0x81, true, 1<<63-1, nil), 1009, "too large"},
		{"a frame as long as a second's operations", frame(0x82, true, 100*(4096+65536), nil), 1000, ""},
		{"an end in the middle", frame(0x82, true, 100, begun)[:9], 1000, ""},
		{"an operation before CONNECT, in pieces", append(frame(0x02, true, 2, ping[:2]), frame(0x80, true, 4, ping[2:])...), 1008, "authorization violation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, code, why := readFrames(e, tt.in)
			if code != tt.code || why != tt.why {
				t.Fatalf("got %d %q, want %d %q", code, why, tt.code, tt.why)
			}
		})
	}
}

// FuzzFrames holds that no input ends in a panic, that the cut of the stream
// changes nothing, and that what is answered may stand in a close frame.
func FuzzFrames(f *testing.F) {
	e := newEndpoint(f, judge{})
	for _, seed := range [][]byte{
		frame(0x82, true, 6, []byte("PING\r\n")),
		frame(0x89, true, 2, []byte("hi")),
		append(frame(0x02, true, 8, []byte("CONNECT ")), frame(0x80, true, 4, []byte("{}\r\n"))...),
		frame(0x82, true, 300, bytes.Repeat([]byte("x"), 300)),
		frame(0x88, true, 0, nil),
		{0x82, 0xff, 0, 0, 0, 0},
		frame(0x82, true, 1<<40, nil),
		closeWith(1000, "bye"),
		closeWith(1006, ""),
		closeWith(1000, "caf\xe9"),
		frame(0x81, true, 11, []byte("CONNECT \xff\r\n")),
		frame(0x81, true, 15, []byte("CONNECT €\xe2\x82\r\n")),
		append(frame(0x01, true, 10, []byte("CONNECT \xe2\x82")), frame(0x80, true, 3, []byte("\xac\r\n"))...),
	} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		wholeErr, wholeCode, wholeWhy := readFrames(e, bytes.Clone(in))
		cut = min(max(cut, 0), len(in))
		err, code, why := readFrames(e, bytes.Clone(in[:cut]), bytes.Clone(in[cut:]))
		if err != wholeErr || code != wholeCode || why != wholeWhy {
			t.Fatalf("cut at %d: %q %d %q, whole: %q %d %q", cut, err, code, why, wholeErr, wholeCode, wholeWhy)
		}
		if answer := closeWith(code, why); len(answer) > 125+6 || !utf8.ValidString(why) {
			t.Fatalf("the answer %d %q is no close frame", code, why)
		}
		if _, answered, _ := readFrames(e, closeWith(code, why)); answered != 1000 {
			t.Fatalf("our own answer %d %q is answered with %d", code, why, answered)
		}
	})
}

// FuzzText holds that a text is refused at the byte where it ceases to be the
// beginning of UTF-8, however it is cut.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "plain", "é€😀", "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80", "\xf0\x8f", "ab\xe2\x82"} {
		f.Add([]byte(seed), 1)
	}
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		cut = min(max(cut, 0), len(text))
		valid, whole := natsocket.ValidText(text[:cut], text[cut:])
		if want := utf8.Valid(text); whole != want {
			t.Fatalf("%q is UTF-8: got %v, want %v", text, whole, want)
		}
		if uncut, _ := natsocket.ValidText(text); uncut != valid {
			t.Fatalf("%q cut at %d: %d bytes are good, whole %d", text, cut, valid, uncut)
		}
		if valid == len(text) {
			return
		}
		// What stands before the bad byte can be made whole, what has it cannot.
		if !beginsUTF8(text[:valid]) || beginsUTF8(text[:valid+1]) {
			t.Fatalf("%q is refused at byte %d", text, valid)
		}
	})
}

// beginsUTF8 is true for what some bytes more would make UTF-8.
func beginsUTF8(text []byte) bool {
	for len(text) > 0 && utf8.FullRune(text) {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			return false
		}
		text = text[n:]
	}
	return true
}
