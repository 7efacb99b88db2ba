package status

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// field is one of the top-level fields that have a meaning to us.
type field int

const (
	fieldCategory field = iota
	fieldText
	fieldMetadata
	fieldTimestamp
	fieldPriority
	fieldID
	numFields
)

var fieldNames = [numFields]string{"category", "text", "metadata", "timestamp", "priority", "id"}

// envelope is where a payload's known fields are.
type envelope struct {
	body   int // just behind the opening brace
	fields [numFields]span
}

// value is the raw JSON of a field, nil when it is not there.
func (e *envelope) value(data []byte, f field) []byte {
	if v := e.fields[f]; v.end > 0 {
		return data[v.start:v.end]
	}
	return nil
}

// parseEnvelope checks all of the payload's syntax and finds the known fields.
// What the fields hold is not looked at.
func parseEnvelope(data []byte) (envelope, *Error) {
	var env envelope
	if !utf8.Valid(data) {
		return env, ErrNotUTF8.Withf("payload is not valid UTF-8 at byte %d: encode it as UTF-8", invalidUTF8At(data))
	}
	s := scanner{data: data}
	s.space()
	if s.pos == len(data) {
		return env, ErrNotJSON.Withf(`payload is empty: send at least {"text":"…"}`)
	}
	if data[s.pos] != '{' {
		start := s.pos
		if err := s.value(1); err != nil {
			return env, err
		}
		return env, ErrNotObject.Withf(`payload is %s, not a JSON object: send at least {"text":"…"}`, kind(data[start:]))
	}
	env.body = s.pos + 1
	err := s.object(1, func(key, value span) *Error {
		f, known := knownField(data[key.start:key.end])
		if !known {
			return nil
		}
		if env.fields[f].end > 0 {
			return ErrDuplicateField.Withf("field %q is there twice: write it once", fieldNames[f])
		}
		env.fields[f] = value
		return nil
	})
	if err != nil {
		return env, err
	}
	s.space()
	if s.pos < len(data) {
		return env, s.unexpected("nothing after the object")
	}
	return env, nil
}

// knownField looks up a key as it stands in the payload, quotes and escapes and all.
func knownField(key []byte) (field, bool) {
	name := key[1 : len(key)-1]
	var buf [len("timestamp")]byte
	if bytes.IndexByte(name, '\\') >= 0 {
		var ok bool
		if name, ok = unescapeASCII(buf[:0], name); !ok {
			return 0, false
		}
	}
	for f, known := range fieldNames {
		if string(name) == known {
			return field(f), true
		}
	}
	return 0, false
}

// unescapeASCII decodes the inside of a valid JSON string into dst. It gives up
// when that is full and on what no field name of ours has in it.
func unescapeASCII(dst, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' {
			if raw[i+1] != 'u' {
				return nil, false
			}
			code, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
			if err != nil || code >= utf8.RuneSelf {
				return nil, false
			}
			c = byte(code)
			i += len(`u0074`)
		}
		if len(dst) == cap(dst) {
			return nil, false
		}
		dst = append(dst, c)
	}
	return dst, true
}

// unquote decodes a JSON string that is known to be valid.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return ""
	}
	return s
}

func invalidUTF8At(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(data)
}
