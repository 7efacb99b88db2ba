package natsproto

import (
	"bytes"
	"fmt"
)

// verb is how an operation starts on the wire.
type verb struct {
	name string
	kind Kind
	args [2]int // least and most number of arguments; CONNECT's JSON is one
}

// verbs is a function so that the table is nobody's to change.
func verbs() [7]verb {
	return [...]verb{
		{"PUB", Pub, [2]int{2, 3}},
		{"SUB", Sub, [2]int{2, 3}},
		{"UNSUB", Unsub, [2]int{1, 2}},
		{"PING", Ping, [2]int{0, 0}},
		{"PONG", Pong, [2]int{0, 0}},
		{"HPUB", Pub, [2]int{3, 4}},
		{"CONNECT", Connect, [2]int{1, 1}},
	}
}

// verbOf finds the verb at the start of data. What cannot become a verb is
// refused at once, so that garbage without a line end is not collected.
func verbOf(data []byte) (verb, error) {
	for _, v := range verbs() {
		n := min(len(v.name), len(data))
		if !bytes.EqualFold(data[:n], []byte(v.name[:n])) {
			continue
		}
		if len(data) == n {
			return v, nil // perhaps not whole yet: there is no line end either
		}
		switch c := data[n]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			return v, nil
		}
	}
	return verb{}, ErrUnknownOperation
}

// parseArgs fills op from the arguments and returns the payload's size.
func parseArgs(v verb, args []byte, op *Operation) (size int, err error) {
	if v.kind == Connect {
		if len(args) == 0 {
			return 0, ErrUnknownOperation
		}
		op.Connect = args
		return 0, nil
	}
	var split [5][]byte
	fields := splitFields(args, split[:0])
	if len(fields) < v.args[0] || len(fields) > v.args[1] {
		return 0, fmt.Errorf("%w: %s takes %d to %d arguments", ErrUnknownOperation, v.name, v.args[0], v.args[1])
	}
	switch v.kind {
	case Sub:
		op.Subject, op.SID = fields[0], fields[len(fields)-1]
		if len(fields) == 3 {
			op.Queue = fields[1]
		}
	case Unsub:
		op.SID = fields[0]
		if len(fields) == 2 {
			// nats-server takes what is no number as no limit.
			op.Max = max(0, parseSize(fields[1]))
		}
	case Pub:
		return parsePub(v, fields, op)
	}
	return 0, nil
}

func parsePub(v verb, fields [][]byte, op *Operation) (size int, err error) {
	op.Subject = fields[0]
	if len(fields) == v.args[1] {
		op.Reply = fields[1]
	}
	size = parseSize(fields[len(fields)-1])
	if v.name == "HPUB" {
		op.HeaderBytes = parseSize(fields[len(fields)-2])
		if op.HeaderBytes < 0 || op.HeaderBytes > size {
			return 0, fmt.Errorf("%w: HPUB with a bad header size", ErrUnknownOperation)
		}
	}
	if size < 0 {
		return 0, fmt.Errorf("%w: %s with a bad size", ErrUnknownOperation, v.name)
	}
	return size, nil
}

// splitFields cuts at spaces and tabs, at most cap(into) fields.
func splitFields(args []byte, into [][]byte) [][]byte {
	for len(args) > 0 && len(into) < cap(into) {
		end := bytes.IndexAny(args, " \t")
		if end < 0 {
			return append(into, args)
		}
		if end > 0 {
			into = append(into, args[:end])
		}
		args = args[end+1:]
	}
	return into
}

// parseSize reads up to nine decimal digits; anything else is -1.
func parseSize(d []byte) int {
	if len(d) == 0 || len(d) > 9 {
		return -1
	}
	n := 0
	for _, c := range d {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
