package status

import (
	"strings"
	"unicode/utf8"
)

// Bounds of the headers that a publisher may send with a status.
const (
	MaxHeaders     = 32      // name and value pairs
	MaxHeaderBytes = 4 << 10 // as on the wire: "name: value" and the line end of each
)

// Headers that a stored status may carry beside the publisher's own.
const (
	// HeaderMsgID is NATS's own. A publisher's id is stored as
	// <conversation>.<category>.<id>: the stream looks for duplicates among all
	// its messages, and two publishers' equal ids on different subjects must
	// not swallow each other.
	HeaderMsgID = "Nats-Msg-Id"
	// HeaderPriority and HeaderID mirror the body's fields, for those who sort
	// or shed messages without parsing them.
	HeaderPriority = "Status-Priority"
	HeaderID       = "Status-Id"
)

// HeaderTruncated stands on the first status behind a gap that retention has made:
// its value is the first stream sequence that could be had. The last message of a
// history has it as well.
const HeaderTruncated = "Status-Truncated"

// NormalizeHeader checks the headers that came with a status and returns those
// to store, nil for none. Publishers may use Nats-Msg-Id, traceparent,
// tracestate and names of their own. Every other Nats-* header means something
// to nats-server or its clients, as has Status, and Status-* is ours: these are
// refused by name in any spelling. published is not changed. The error is an
// *Error.
func NormalizeHeader(published map[string][]string, n Normalized, c ConversationID, cat Category) (map[string][]string, error) {
	if len(published) == 0 && n.ID == "" && n.Priority == "" {
		return nil, nil
	}
	if err := checkHeader(published); err != nil {
		return nil, err
	}
	stored := make(map[string][]string, len(published)+3)
	for name, values := range published {
		stored[name] = values
	}
	id := n.ID
	if values := published[HeaderMsgID]; len(values) > 0 {
		id = values[0]
		if err := checkID("header Nats-Msg-Id", id); err != nil {
			return nil, err
		}
	}
	if id != "" {
		stored[HeaderMsgID] = []string{string(c) + "." + string(cat) + "." + id}
	}
	if n.ID != "" {
		stored[HeaderID] = []string{n.ID}
	}
	if n.Priority != "" {
		stored[HeaderPriority] = []string{string(n.Priority)}
	}
	return stored, nil
}

func checkHeader(published map[string][]string) *Error {
	count, size := 0, 0
	for name, values := range published {
		count += len(values)
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	if count > MaxHeaders || size > MaxHeaderBytes {
		return ErrTooManyHeaders.Withf("%d headers of %d bytes, at most %d of %d are allowed: put it into metadata", count, size, MaxHeaders, MaxHeaderBytes)
	}
	for name, values := range published {
		if err := checkHeaderName(name); err != nil {
			return err
		}
		if name == HeaderMsgID && len(values) > 1 {
			return ErrBadHeader.Withf("header %s is there %d times: send it once", name, len(values))
		}
		for _, v := range values {
			if !isHeaderValue(v) {
				return ErrBadHeader.Withf("header %s has a value that is not one line of UTF-8: %s", Quote(name), Quote(v))
			}
		}
	}
	return nil
}

func checkHeaderName(name string) *Error {
	if name == "" {
		return ErrBadHeader.Withf("header name is empty")
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' || name[i] == ':' {
			return ErrBadHeader.Withf("header name %s is not one word of printable ASCII without a colon", Quote(name))
		}
	}
	switch {
	case name == HeaderMsgID:
		return nil
	case strings.EqualFold(name, HeaderMsgID):
		return ErrHeaderNotAllowed.Withf("header %q is not allowed: it is spelled %s", name, HeaderMsgID)
	case hasPrefixFold(name, "nats-"):
		return ErrHeaderNotAllowed.Withf("header %s is not allowed: of the Nats-* headers a publisher may set only %s", Quote(name), HeaderMsgID)
	case hasPrefixFold(name, "status-"), strings.EqualFold(name, "status"):
		return ErrHeaderNotAllowed.Withf("header %s is not allowed: Status and Status-* are reserved, use another name", Quote(name))
	}
	return nil
}

// hasPrefixFold is for ASCII prefixes only.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func isHeaderValue(v string) bool {
	for i := range len(v) {
		if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(v)
}
