package status

import (
	"bytes"
	"time"
)

// timestampLayout is how we write the time of arrival: UTC, in milliseconds.
const timestampLayout = "2006-01-02T15:04:05.000Z07:00"

// timestamp is what is to stand in place of the publisher's, nil to leave all
// as it is.
func (e *envelope) timestamp(payload []byte) ([]byte, *Error) {
	raw := e.value(payload, fieldTimestamp)
	if raw == nil {
		return nil, nil
	}
	if raw[0] != '"' {
		return nil, ErrBadTimestamp.Withf(`timestamp is %s: write it as "2024-01-19T12:00:00Z"`, kind(raw))
	}
	text := raw[1 : len(raw)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		text = []byte(unquote(raw))
	}
	var t time.Time
	if !looksLikeRFC3339(text) || t.UnmarshalText(text) != nil {
		return nil, ErrBadTimestamp.Withf("timestamp %s is not RFC 3339: write it as 2024-01-19T12:00:00Z", Quote(string(text)))
	}
	if text[len(text)-1] == 'Z' {
		return nil, nil
	}
	inUTC, err := t.UTC().AppendText(make([]byte, 0, len(time.RFC3339Nano)))
	if err != nil {
		return nil, ErrBadTimestamp.Withf("timestamp %s has no four-digit year in UTC", Quote(string(text)))
	}
	return inUTC, nil
}

// looksLikeRFC3339 checks the shape, which package time is lenient about: as of
// Go 1.26 it takes one-digit hours, a comma and zones of any size. It leaves
// the ranges of the date and time to package time.
func looksLikeRFC3339(text []byte) bool {
	rest, ok := matchShape(text, "0000-00-00T00:00:00")
	if !ok {
		return false
	}
	if len(rest) > 0 && rest[0] == '.' {
		digits := 1
		for digits < len(rest) && isDigit(rest[digits]) {
			digits++
		}
		if digits == 1 {
			return false
		}
		rest = rest[digits:]
	}
	if string(rest) == "Z" {
		return true
	}
	if len(rest) == 0 || (rest[0] != '+' && rest[0] != '-') {
		return false
	}
	zone, ok := matchShape(rest[1:], "00:00")
	return ok && len(zone) == 0 && string(rest[1:3]) <= "23" && string(rest[4:6]) <= "59"
}

// matchShape steps over shape, in which 0 stands for any digit.
func matchShape(text []byte, shape string) (rest []byte, ok bool) {
	if len(text) < len(shape) {
		return nil, false
	}
	for i := range len(shape) {
		if shape[i] == '0' && isDigit(text[i]) || shape[i] == text[i] {
			continue
		}
		return nil, false
	}
	return text[len(shape):], true
}
