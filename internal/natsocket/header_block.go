package natsocket

import (
	"maps"
	"slices"

	"github.com/nats-io/nats.go"
)

// known is left out of a status that a subscription gets: the browser knows the
// stream and the subject, and the status has its own timestamp. That is 90 of 155
// bytes of a status's headers.
func known(name string) bool {
	switch name {
	case "Nats-Stream", "Nats-Subject", "Nats-Time-Stamp":
		return true
	}
	return false
}

// appendHeaderBlock appends the header block of a message (ADR-4), or nothing
// when no header is left. A status line, as of "no responders", is kept. What
// leaveOut names is left out, unless that is nil.
func appendHeaderBlock(dst []byte, h nats.Header, leaveOut func(name string) bool) []byte {
	start := len(dst)
	dst = append(dst, "NATS/1.0"...)
	status, description := h.Get(headerStatus), h.Get(headerDescription)
	if status != "" {
		dst = append(dst, ' ')
		dst = append(dst, status...)
		if description != "" {
			dst = append(dst, ' ')
			dst = append(dst, description...)
		}
	}
	dst = append(dst, "\r\n"...)
	empty := status == ""
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if inStatusLine := status != "" && (name == headerStatus || name == headerDescription); inStatusLine || leaveOut != nil && leaveOut(name) {
			continue
		}
		for _, value := range h[name] {
			dst = append(dst, name...)
			dst = append(dst, ": "...)
			dst = append(dst, value...)
			dst = append(dst, "\r\n"...)
			empty = false
		}
	}
	if empty {
		return dst[:start]
	}
	return append(dst, "\r\n"...)
}

// Where nats.go puts the status line of a header block.
const (
	headerStatus      = "Status"
	headerDescription = "Description"
)
