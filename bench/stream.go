package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// stream cuts what a server sends on one socket into operations of the NATS
// protocol: whole operations in each frame.
type stream struct{ frames frames }

// frames cuts what a server sends on one socket into WebSocket frames that are not
// masked (RFC 6455, section 5.2).
type frames struct {
	rest []byte // the beginning of a frame that is not whole yet
}

// Opcodes of frames.
const (
	opText   = 1
	opBinary = 2
	opEnd    = 8
	opPing   = 9
	opPong   = 10
)

// events are called for what is in the frames.
type events interface {
	// message takes the line, MSG or HMSG, and what follows it: headers and payload.
	message(line, body []byte) error
	framePing(body []byte) error
	ping() error
	pong()
}

// feed takes bytes as they come.
func (s *stream) feed(b []byte, to events) error {
	return s.frames.feed(b, func(op byte, body []byte) error {
		switch op {
		case opEnd:
			return fmt.Errorf("the server closed the socket: %q", body)
		case opPing:
			return to.framePing(body)
		}
		return operations(body, to)
	})
}

// feed takes bytes as they come and hands on each whole frame.
func (f *frames) feed(b []byte, to func(op byte, body []byte) error) error {
	if len(f.rest) > 0 {
		f.rest = append(f.rest, b...)
		b = f.rest
	}
	for {
		op, body, size := frame(b)
		if size == 0 {
			f.rest = append(f.rest[:0], b...)
			return nil
		}
		b = b[size:]
		if err := to(op, body); err != nil {
			return err
		}
	}
}

// frame returns the first frame and its size, 0 when it is not whole.
func frame(b []byte) (op byte, body []byte, size int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	start, length := 2, int(b[1]&0x7f)
	switch length {
	case 126:
		start = 4
		if len(b) < start {
			return 0, nil, 0
		}
		length = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		start = 10
		if len(b) < start {
			return 0, nil, 0
		}
		length = int(binary.BigEndian.Uint64(b[2:]))
	}
	if len(b)-start < length {
		return 0, nil, 0
	}
	return b[0] & 15, b[start : start+length], start + length
}

// appendMasked appends a browser's frame of less than 64 KiB. With a mask of zeroes
// the bytes stay as they are.
func appendMasked(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, 0x80|op)
	if len(payload) < 126 {
		dst = append(dst, 0x80|byte(len(payload)))
	} else {
		dst = append(dst, 0x80|126, byte(len(payload)>>8), byte(len(payload)))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}

var (
	lineEnd   = []byte("\r\n")
	errorLine = []byte("-ERR")
)

func operations(b []byte, to events) error {
	for len(b) > 0 {
		end := bytes.Index(b, lineEnd)
		if end < 0 {
			return fmt.Errorf("half an operation in a frame: %q", b)
		}
		line := b[:end]
		b = b[end+len(lineEnd):]
		var err error
		switch {
		case bytes.HasPrefix(line, []byte("HMSG ")), bytes.HasPrefix(line, []byte("MSG ")):
			var size int
			if size, err = lastNumber(line); err == nil && len(b) < size+len(lineEnd) {
				err = errors.New("half a message in a frame")
			}
			if err == nil {
				err = to.message(line, b[:size])
				b = b[size+len(lineEnd):]
			}
		case bytes.HasPrefix(line, []byte("PING")):
			err = to.ping()
		case bytes.HasPrefix(line, []byte("PONG")):
			to.pong()
		case bytes.HasPrefix(line, errorLine):
			err = fmt.Errorf("the server says %s", line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func lastNumber(line []byte) (int, error) {
	n := digits(line[bytes.LastIndexByte(line, ' ')+1:])
	if n < 0 {
		return 0, fmt.Errorf("no size in %q", line)
	}
	return int(n), nil
}
