package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// How a JSON object of a token cannot be read.
var (
	errNoObject = errors.New("not one JSON object in UTF-8")
	errTwice    = errors.New("a name stands twice")
)

// object reads one JSON object into its fields, each as it is written. Names are
// compared exactly and none may stand twice (RFC 7515 section 4, RFC 7519 section
// 4): encoding/json alone takes Sub for sub, and of two the last.
func object(data []byte) (map[string]json.RawMessage, error) {
	// encoding/json would read bytes that are no UTF-8 as U+FFFD.
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errNoObject
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoObject
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errNoObject
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errNoObject
		}
		if _, twice := fields[name]; twice {
			return nil, errTwice
		}
		fields[name] = value
	}
	return fields, nil
}

// text reads a JSON string; ok is false for any other value.
func text(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// texts reads a list of JSON strings; ok is false for any other value.
func texts(raw json.RawMessage) (all []string, ok bool) {
	var list []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, false
	}
	for _, one := range list {
		s, ok := text(one)
		if !ok {
			return nil, false
		}
		all = append(all, s)
	}
	return all, true
}
