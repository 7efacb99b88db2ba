package status

import (
	"bytes"
	"fmt"
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
	t, plain, ok := parseRFC3339(text)
	if !ok {
		return nil, ErrBadTimestamp.Withf("timestamp %s is not RFC 3339: write it as 2024-01-19T12:00:00Z", Quote(string(text)))
	}
	if plain && text[len(text)-1] == 'Z' {
		return nil, nil
	}
	inUTC, err := t.UTC().AppendText(make([]byte, 0, len(time.RFC3339Nano)))
	if err != nil {
		return nil, ErrBadTimestamp.Withf("timestamp %s has no four-digit year in UTC", Quote(string(text)))
	}
	return inUTC, nil
}

// ParseTime reads a moment as RFC 3339 has it, in UTC: "2024-01-19T12:00:00Z". T and
// Z may be small letters. A leap second, 23:59:60 in UTC at the end of a month, is the
// first second of the next day, as POSIX counts it: few who read it know the other
// form. Package time takes neither, and some texts that are not RFC 3339.
func ParseTime(text string) (time.Time, error) {
	t, _, ok := parseRFC3339([]byte(text))
	if !ok {
		return time.Time{}, fmt.Errorf("%s is not RFC 3339: write it as 2024-01-19T12:00:00Z", Quote(text))
	}
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s has no four-digit year in UTC", Quote(text))
	}
	return t, nil
}

// parseRFC3339 reads a moment. It is plain when everybody reads it as it is written.
func parseRFC3339(text []byte) (t time.Time, plain, ok bool) {
	if !looksLikeRFC3339(text) {
		return t, false, false
	}
	if t.UnmarshalText(text) == nil {
		return t, true, true
	}
	text = bytes.ToUpper(text)
	const seconds = len("0000-00-00T00:00:")
	leaps := string(text[seconds:seconds+2]) == "60"
	if leaps {
		copy(text[seconds:], "59")
	}
	if t.UnmarshalText(text) != nil {
		return t, false, false
	}
	if !leaps {
		return t, false, true
	}
	next := t.Add(time.Second)
	return next, false, startsMonth(next.UTC())
}

// startsMonth is true within the first second of a month: RFC 3339, section 5.7, has
// leap seconds at the end of months alone. Which months have one is known half a year
// ahead only, so none is refused.
func startsMonth(t time.Time) bool {
	return t.Day() == 1 && t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0
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
	if string(rest) == "Z" || string(rest) == "z" {
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
		switch {
		case shape[i] == '0' && isDigit(text[i]), shape[i] == text[i], shape[i] == 'T' && text[i] == 't':
			continue
		}
		return nil, false
	}
	return text[len(shape):], true
}
