package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// stream cuts what a server sends on one socket into operations of the NATS
// protocol: WebSocket frames that are not masked (RFC 6455, section 5.2), whole
// operations in each.
type stream struct {
	rest []byte // the beginning of a frame that is not whole yet
}

// What a server may send.
const (
	opPing = 9
	opEnd  = 8
)

// events are called for what is in the frames.
type events interface {
	message(payload []byte) error
	framePing(body []byte) error
	ping() error
	pong()
}

// feed takes bytes as they come.
func (s *stream) feed(b []byte, to events) error {
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	for {
		op, body, size := frame(b)
		if size == 0 {
			s.rest = append(s.rest[:0], b...)
			return nil
		}
		b = b[size:]
		var err error
		switch op {
		case opEnd:
			err = fmt.Errorf("the server closed the socket: %q", body)
		case opPing:
			err = to.framePing(body)
		default:
			err = operations(body, to)
		}
		if err != nil {
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
				err = to.message(b[:size])
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
