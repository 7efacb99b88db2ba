package natsproto

import (
	"bytes"
	"errors"
	"fmt"
)

// What ends a connection. The texts are those of nats-server, which clients know.
//
//lint:file-ignore ST1005 they go out as they are, with nats-server's capitals
var (
	ErrUnknownOperation   = errors.New("Unknown Protocol Operation")
	ErrControlLineTooLong = errors.New("maximum control line exceeded")
	ErrPayloadTooLarge    = errors.New("Maximum Payload Violation")
	ErrConnectFirst       = errors.New("CONNECT must come first")
)

// PayloadError is ErrPayloadTooLarge with the most that is allowed.
type PayloadError struct{ Most int }

// Error implements error.
func (e *PayloadError) Error() string { return ErrPayloadTooLarge.Error() }

// Unwrap makes it an ErrPayloadTooLarge.
func (e *PayloadError) Unwrap() error { return ErrPayloadTooLarge }

// Kind is the verb of an operation.
type Kind uint8

// The operations that a client sends.
const (
	Connect Kind = iota + 1
	Ping
	Pong
	Sub
	Unsub
	Pub // HPUB as well: then HeaderBytes is above zero
)

// Operation is one whole operation. Its slices alias the parser's input and are
// valid only until the handler returns.
type Operation struct {
	Kind    Kind
	Connect []byte // CONNECT: the JSON
	Subject []byte // SUB, PUB
	Queue   []byte // SUB: nil for none
	SID     []byte // SUB, UNSUB
	Max     int    // UNSUB: 0 for none
	Reply   []byte // PUB: nil for none
	// HeaderBytes is how much of Payload is the header block; 0 without headers.
	HeaderBytes int
	Payload     []byte
}

// Parser cuts a stream of bytes into operations. It keeps at most one
// unfinished operation, so its memory is bounded by its limits. The zero value
// is not usable; set both limits. Not safe for concurrent use.
type Parser struct {
	MaxControlLineBytes int
	MaxPayloadBytes     int
	// MaxTokenBytes bounds the payload on TokenSubject in place of MaxPayloadBytes.
	TokenSubject  string
	MaxTokenBytes int
	// ConnectOnly takes CONNECT and nothing else: who has not said who they are
	// has no line and no payload collected. The handler clears it.
	ConnectOnly bool

	pending []byte    // the unfinished operation
	op      Operation // the one being handled; here so that it costs no allocation
}

// Feed parses data after what earlier calls left over and calls handle for each
// whole operation. It stops at the first error, its own or handle's; the
// connection is then of no use any more.
func (p *Parser) Feed(data []byte, handle func(*Operation) error) error {
	if len(p.pending) > 0 {
		p.pending = append(p.pending, data...)
		data = p.pending
	}
	for len(data) > 0 {
		p.op = Operation{}
		n, err := p.next(data, &p.op)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if err := handle(&p.op); err != nil {
			return err
		}
		data = data[n:]
	}
	p.keep(data)
	return nil
}

// keep stores the unfinished rest, which may be a part of pending itself.
func (p *Parser) keep(rest []byte) {
	if len(rest) == 0 {
		p.pending = nil // an idle connection keeps no buffer
		return
	}
	p.pending = append(p.pending[:0], rest...)
}

// next parses one operation at the start of data. It returns how many bytes the
// operation has, 0 when it is not yet whole.
func (p *Parser) next(data []byte, op *Operation) (int, error) {
	if p.ConnectOnly {
		// By the first byte alone, wherever the network has cut the stream.
		if first, err := verbOf(data[:1]); err == nil && first.kind != Connect {
			return 0, ErrConnectFirst
		}
	}
	verb, err := verbOf(data)
	if err != nil {
		return 0, err
	}
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		if len(data) > p.MaxControlLineBytes+len(verb.name)+len(" \r") {
			return 0, ErrControlLineTooLong
		}
		return 0, nil
	}
	line := data[len(verb.name):end]
	line = bytes.TrimSuffix(line, []byte{'\r'})
	args := bytes.Trim(line, " \t")
	if len(args) > p.MaxControlLineBytes {
		return 0, ErrControlLineTooLong
	}
	op.Kind = verb.kind
	size, err := parseArgs(verb, args, op)
	if err != nil {
		return 0, err
	}
	if op.Kind != Pub {
		return end + 1, nil
	}
	return p.payload(data, end+1, size, op)
}

// payload takes the size bytes that follow the line, and their CR LF.
func (p *Parser) payload(data []byte, start, size int, op *Operation) (int, error) {
	most := p.MaxPayloadBytes
	if p.TokenSubject != "" && string(op.Subject) == p.TokenSubject {
		most = p.MaxTokenBytes
	}
	if size > most {
		return 0, &PayloadError{Most: most}
	}
	end := start + size
	if len(data) < end+2 {
		return 0, nil
	}
	if data[end] != '\r' || data[end+1] != '\n' {
		return 0, fmt.Errorf("%w: no CR LF after the payload", ErrUnknownOperation)
	}
	op.Payload = data[start:end]
	return end + 2, nil
}
