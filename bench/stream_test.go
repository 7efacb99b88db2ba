package bench

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
)

// heard is what a stream told.
type heard struct {
	numbers     []int
	pings       int
	framePings  []string
	pongs       int
	sent        time.Duration
	failMessage error
}

func (h *heard) message(_, b []byte) error {
	sent, number, err := parseStatus(b)
	h.sent = sent
	h.numbers = append(h.numbers, number)
	return errors.Join(err, h.failMessage)
}

func (h *heard) framePing(b []byte) error {
	h.framePings = append(h.framePings, string(b))
	return nil
}
func (h *heard) ping() error { h.pings++; return nil }
func (h *heard) pong()       { h.pongs++ }

func TestAStreamIsReadHoweverItIsCut(t *testing.T) {
	var wire []byte
	for n := range 3 {
		sequence, last := sequences(n, 1)
		wire = appendFrame(wire, subjectOf(0), sidOf(n), sequence, last, appendStatus(nil, 42, n))
	}
	wire = append(wire, 0x82, 12)
	wire = append(wire, "PING\r\nPONG\r\n"...)
	wire = append(wire, 0x89, 2, 'h', 'i')
	for piece := 1; piece <= len(wire); piece++ {
		var s stream
		h := &heard{}
		for part := range slices.Chunk(wire, piece) {
			if err := s.feed(bytes.Clone(part), h); err != nil {
				t.Fatalf("pieces of %d: %v", piece, err)
			}
		}
		if !slices.Equal(h.numbers, []int{0, 1, 2}) || h.sent != 42 || h.pings != 1 || h.pongs != 1 || !slices.Equal(h.framePings, []string{"hi"}) {
			t.Fatalf("pieces of %d: heard %+v", piece, h)
		}
	}
}

func TestWhatAStreamMustNotHoldIsAnError(t *testing.T) {
	for name, wire := range map[string]string{
		"a refusal":              "\x82\x0b-ERR 'no'\r\n",
		"a close":                "\x88\x02\x03\xe8",
		"half an operation":      "\x82\x04PING",
		"half a message":         "\x82\x13MSG status.c 1 9\r\n.",
		"a message without size": "\x82\x10MSG status.c 1 x\r\n",
		"another's message":      "\x82\x15MSG status.c 1 1\r\nx\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var s stream
			if err := s.feed([]byte(wire), &heard{}); err == nil {
				t.Fatal("no error")
			}
		})
	}
}
