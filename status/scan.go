package status

import "unicode/utf8"

// scanner walks over JSON (RFC 8259) without building anything from it. It
// accepts exactly what encoding/json accepts, down to MaxDepth levels; UTF-8 is
// checked beforehand.
type scanner struct {
	data []byte
	pos  int
}

// value steps over one value. depth is the level that an object or array
// starting here would have.
func (s *scanner) value(depth int) *Error {
	if s.pos >= len(s.data) {
		return s.cut()
	}
	switch c := s.data[s.pos]; {
	case c == '"':
		return s.str()
	case c == '{':
		return s.object(depth, nil)
	case c == '[':
		return s.array(depth)
	case c == '-' || isDigit(c):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.unexpected("a value")
}

// span is a part of the data, from start up to end.
type span struct{ start, end int }

// object steps over an object. member, when not nil, is told of each key (with
// its quotes) and value.
func (s *scanner) object(depth int, member func(key, value span) *Error) *Error {
	if depth > MaxDepth {
		return s.tooDeep()
	}
	s.pos++ // {
	s.space()
	if s.is('}') {
		return nil
	}
	for {
		if s.pos < len(s.data) && s.data[s.pos] != '"' {
			return s.unexpected("a field name in quotes")
		}
		key := span{start: s.pos}
		if err := s.str(); err != nil {
			return err
		}
		key.end = s.pos
		s.space()
		if !s.is(':') {
			return s.unexpected("a colon after the field name")
		}
		s.space()
		value := span{start: s.pos}
		if err := s.value(depth + 1); err != nil {
			return err
		}
		value.end = s.pos
		if member != nil {
			if err := member(key, value); err != nil {
				return err
			}
		}
		s.space()
		switch {
		case s.is('}'):
			return nil
		case !s.is(','):
			return s.unexpected("a comma or }")
		}
		s.space()
	}
}

func (s *scanner) array(depth int) *Error {
	if depth > MaxDepth {
		return s.tooDeep()
	}
	s.pos++ // [
	s.space()
	if s.is(']') {
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		switch {
		case s.is(']'):
			return nil
		case !s.is(','):
			return s.unexpected("a comma or ]")
		}
		s.space()
	}
}

// plain marks the bytes that stand for themselves within a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

func (s *scanner) str() *Error {
	if s.pos >= len(s.data) {
		return s.cut()
	}
	i := s.pos + 1 // after the quote
	for {
		for i < len(s.data) && plain[s.data[i]] {
			i++
		}
		if i >= len(s.data) {
			s.pos = i
			return s.cut()
		}
		switch s.data[i] {
		case '"':
			s.pos = i + 1
			return nil
		case '\\':
			s.pos = i
			if err := s.escape(); err != nil {
				return err
			}
			i = s.pos
		default:
			s.pos = i
			return s.unexpected(`control characters in strings to be escaped`)
		}
	}
}

func (s *scanner) escape() *Error {
	s.pos++ // backslash
	if s.pos >= len(s.data) {
		return s.cut()
	}
	switch s.data[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		s.pos++
		for range 4 {
			if s.pos >= len(s.data) {
				return s.cut()
			}
			if !isHex(s.data[s.pos]) {
				return s.unexpected(`four hexadecimal digits after \u`)
			}
			s.pos++
		}
		return nil
	}
	return s.unexpected(`one of "\/bfnrtu after a backslash`)
}

func (s *scanner) number() *Error {
	s.is('-')
	if s.is('0') {
		if s.pos < len(s.data) && isDigit(s.data[s.pos]) {
			return s.unexpected("no digit after a leading zero")
		}
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.is('.') {
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.is('e') || s.is('E') {
		if !s.is('+') {
			s.is('-')
		}
		return s.digits()
	}
	return nil
}

func (s *scanner) digits() *Error {
	start := s.pos
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
	}
	if s.pos == start {
		return s.unexpected("a digit")
	}
	return nil
}

func (s *scanner) literal(word string) *Error {
	for i := range len(word) {
		if !s.is(word[i]) {
			return s.unexpected(word)
		}
	}
	return nil
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// is steps over c if it comes next.
func (s *scanner) is(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) unexpected(want string) *Error {
	if s.pos >= len(s.data) {
		return s.cut()
	}
	r, _ := utf8.DecodeRune(s.data[s.pos:])
	return ErrNotJSON.Withf("payload is not valid JSON: %q at byte %d, want %s", r, s.pos, want)
}

func (s *scanner) cut() *Error {
	return ErrNotJSON.Withf("payload is not valid JSON: it ends unfinished after %d bytes", len(s.data))
}

func (s *scanner) tooDeep() *Error {
	return ErrTooDeep.Withf("payload nests deeper than %d levels at byte %d: flatten it", MaxDepth, s.pos)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// kind names the kind of a valid value for an error text.
func kind(value []byte) string {
	switch value[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}
