package status

import (
	"strings"
	"time"
)

// Normalized is a publisher's payload that may be stored.
type Normalized struct {
	// Data is the payload with the missing fields filled in. It is the
	// publisher's own bytes when nothing was missing.
	Data []byte
	// ID and Priority are the message's, empty when it has none.
	ID       string
	Priority Priority
}

// Normalize checks a payload that arrived now for the given category and fills
// in what is missing:
//
//   - it is at most MaxMessageBytes of valid UTF-8, one JSON object, at most
//     MaxDepth levels deep, and none of the fields below is there twice;
//   - "text" is a string and not empty;
//   - "category" equals cat; filled in when missing;
//   - "timestamp" is RFC 3339 (ParseTime); brought to UTC; now when missing;
//   - "metadata" is an object, "priority" one of the four, "id" 1 to
//     MaxIDBytes printable ASCII characters; all three may be missing.
//
// null is a value, not a missing field. All other fields pass unseen, and
// everything but what was filled in stays byte for byte. payload is not changed
// and must not be while the result is in use. The error is an *Error.
func Normalize(payload []byte, cat Category, now time.Time) (Normalized, error) {
	if len(payload) > MaxMessageBytes {
		return Normalized{}, ErrTooLarge.Withf("status has %d bytes, at most %d are allowed: shorten it", len(payload), MaxMessageBytes)
	}
	env, bad := parseEnvelope(payload)
	if bad == nil {
		bad = env.checkText(payload)
	}
	if bad == nil {
		bad = env.checkCategory(payload, cat)
	}
	if bad == nil {
		bad = env.checkMetadata(payload)
	}
	n := Normalized{Data: payload}
	if bad == nil {
		n.Priority, bad = env.priority(payload)
	}
	if bad == nil {
		n.ID, bad = env.id(payload)
	}
	var inUTC []byte
	if bad == nil {
		inUTC, bad = env.timestamp(payload)
	}
	if bad != nil {
		return Normalized{}, bad
	}
	n.Data = env.fill(payload, cat, now, inUTC)
	return n, nil
}

func (e *envelope) checkText(payload []byte) *Error {
	raw := e.value(payload, fieldText)
	switch {
	case raw == nil:
		return ErrNoText.Withf(`text is missing: put what happened into "text"`)
	case raw[0] != '"':
		return ErrBadText.Withf("text is %s: make it a string", kind(raw))
	case len(raw) == len(`""`):
		return ErrNoText.Withf(`text is empty: put what happened into "text"`)
	}
	return nil
}

func (e *envelope) checkCategory(payload []byte, cat Category) *Error {
	raw := e.value(payload, fieldCategory)
	if raw == nil {
		return nil
	}
	if raw[0] != '"' {
		return ErrCategoryMismatch.Withf("category is %s, the subject says %q: leave it out or make both equal", kind(raw), cat)
	}
	if plainly := raw[1 : len(raw)-1]; string(plainly) == string(cat) {
		return nil
	}
	if got := unquote(raw); got != string(cat) {
		return ErrCategoryMismatch.Withf("category is %s, the subject says %q: leave it out or make both equal", Quote(got), cat)
	}
	return nil
}

func (e *envelope) checkMetadata(payload []byte) *Error {
	if raw := e.value(payload, fieldMetadata); raw != nil && raw[0] != '{' {
		return ErrBadMetadata.Withf("metadata is %s: make it an object or leave it out", kind(raw))
	}
	return nil
}

func (e *envelope) priority(payload []byte) (Priority, *Error) {
	raw := e.value(payload, fieldPriority)
	if raw == nil {
		return "", nil
	}
	if raw[0] != '"' {
		return "", ErrBadPriority.Withf("priority is %s: use low, normal, high or urgent, or leave it out", kind(raw))
	}
	p := Priority(unquote(raw))
	if !p.Known() {
		return "", ErrBadPriority.Withf("priority is %s: use low, normal, high or urgent, or leave it out", Quote(string(p)))
	}
	return p, nil
}

func (e *envelope) id(payload []byte) (string, *Error) {
	raw := e.value(payload, fieldID)
	if raw == nil {
		return "", nil
	}
	if raw[0] != '"' {
		return "", ErrBadID.Withf("id is %s: make it a string or leave it out", kind(raw))
	}
	id := unquote(raw)
	if err := checkID("id", id); err != nil {
		return "", err
	}
	return id, nil
}

// checkID checks a message's id, wherever it came from.
func checkID(what, id string) *Error {
	printable := func(r rune) bool { return r >= ' ' && r <= '~' }
	switch {
	case id == "":
		return ErrBadID.Withf("%s is empty: use 1 to %d printable ASCII characters", what, MaxIDBytes)
	case len(id) > MaxIDBytes:
		return ErrBadID.Withf("%s has %d bytes, at most %d are allowed", what, len(id), MaxIDBytes)
	case strings.TrimSpace(id) != id:
		return ErrBadID.Withf("%s %s begins or ends with a space: leave it off", what, Quote(id))
	}
	for _, r := range id {
		if !printable(r) {
			return ErrBadID.Withf("%s %s has the character %q: use printable ASCII characters", what, Quote(id), r)
		}
	}
	return nil
}

// fill writes the payload with the missing fields in front, and the timestamp
// replaced by inUTC unless that is nil.
func (e *envelope) fill(payload []byte, cat Category, now time.Time, inUTC []byte) []byte {
	noCategory := e.value(payload, fieldCategory) == nil
	noTimestamp := e.value(payload, fieldTimestamp) == nil
	if !noCategory && !noTimestamp && inUTC == nil {
		return payload
	}
	const room = len(`"category":"","timestamp":"",`) + MaxCategoryBytes + len(timestampLayout)
	out := make([]byte, 0, len(payload)+room)
	out = append(out, payload[:e.body]...)
	// The object has "text" at least, so a comma always belongs behind.
	if noCategory {
		out = append(out, `"category":"`...)
		out = append(out, cat...)
		out = append(out, `",`...)
	}
	if noTimestamp {
		out = append(out, `"timestamp":"`...)
		out = now.UTC().AppendFormat(out, timestampLayout)
		out = append(out, `",`...)
	}
	if inUTC == nil {
		return append(out, payload[e.body:]...)
	}
	old := e.fields[fieldTimestamp]
	out = append(out, payload[e.body:old.start+1]...)
	out = append(out, inUTC...)
	return append(out, payload[old.end-1:]...)
}
