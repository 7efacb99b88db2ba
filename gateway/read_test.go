package gateway_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/gateway"
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

func TestFramesThatBreakTheRules(t *testing.T) {
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
		{"an end in the middle", frame(0x82, true, 100, begun)[:9], 1000, ""},
		{"an operation before CONNECT, in pieces", append(frame(0x02, true, 2, ping[:2]), frame(0x80, true, 4, ping[2:])...), 1008, "authorization violation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, code, why := gateway.ReadFrames(tt.in)
			if code != tt.code || why != tt.why {
				t.Fatalf("got %d %q, want %d %q", code, why, tt.code, tt.why)
			}
		})
	}
}

// FuzzFrames holds that no input ends in a panic and that the cut of the stream
// changes nothing.
func FuzzFrames(f *testing.F) {
	for _, seed := range [][]byte{
		frame(0x82, true, 6, []byte("PING\r\n")),
		frame(0x89, true, 2, []byte("hi")),
		append(frame(0x02, true, 8, []byte("CONNECT ")), frame(0x80, true, 4, []byte("{}\r\n"))...),
		frame(0x82, true, 300, bytes.Repeat([]byte("x"), 300)),
		frame(0x88, true, 0, nil),
		{0x82, 0xff, 0, 0, 0, 0},
	} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		wholeErr, wholeCode, wholeWhy := gateway.ReadFrames(bytes.Clone(in))
		cut = min(max(cut, 0), len(in))
		err, code, why := gateway.ReadFrames(bytes.Clone(in[:cut]), bytes.Clone(in[cut:]))
		if err != wholeErr || code != wholeCode || why != wholeWhy {
			t.Fatalf("cut at %d: %q %d %q, whole: %q %d %q", cut, err, code, why, wholeErr, wholeCode, wholeWhy)
		}
	})
}
