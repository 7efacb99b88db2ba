package config

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The parser of nats-server keeps the last of two keys and tells nobody, and follows
// an include wherever it leads. So the text is scanned beside it for what it has
// where. The scanner knows the syntax of nats-server 2.15.2 (conf/lex.go) as far as
// it takes to find keys, and accepts more: what is wrong otherwise the parser tells.

// visitor is told what stands in a text, in its order.
type visitor interface {
	key(name string, line int)
	// broken tells what is wrong with the syntax although the parser may take it, and
	// then drops a key.
	broken(line int, what string)
	include(path string, line int)
	// opened and closed surround what is in a block, whether that is the value of the
	// last key or stands in a list.
	opened()
	closed()
}

// maxNesting is how deep blocks and lists are scanned.
const maxNesting = 100

// scanner goes through a text. Its position is in bytes.
type scanner struct {
	text    string
	pos     int
	line    int
	nesting int
	visitor visitor
}

// end stands for the end of the text. There is no NUL in it.
const end = 0

func scan(text string, v visitor) {
	s := scanner{text: text, line: 1, visitor: v}
	for s.pos < len(s.text) {
		s.block(inFile)
	}
}

// peek is the next character.
func (s *scanner) peek() rune {
	if s.pos >= len(s.text) {
		return end
	}
	r, _ := utf8.DecodeRuneInString(s.text[s.pos:])
	return r
}

// next takes the next character.
func (s *scanner) next() rune {
	if s.pos >= len(s.text) {
		return end
	}
	r, width := utf8.DecodeRuneInString(s.text[s.pos:])
	s.pos += width
	if r == '\n' {
		s.line++
	}
	return r
}

// skip takes characters for as long as they are of the kind.
func (s *scanner) skip(of func(rune) bool) {
	for s.pos < len(s.text) && of(s.peek()) {
		s.next()
	}
}

// until takes characters up to one of the kind, and returns what they are.
func (s *scanner) until(of func(rune) bool) string {
	start := s.pos
	s.skip(func(r rune) bool { return !of(r) })
	return s.text[start:s.pos]
}

func isLineEnd(r rune) bool   { return r == '\n' || r == '\r' }
func isBlank(r rune) bool     { return r == ' ' || r == '\t' }
func isSeparator(r rune) bool { return r == '=' || r == ':' }

// endsValue is true for what ends a value without quotes.
func endsValue(r rune) bool {
	return isLineEnd(r) || isBlank(r) || r == ';' || r == ',' || r == '}'
}

// surrounds is what a block stands in.
type surrounds int

const (
	inFile   surrounds = iota
	inBraces           // around all of a file, where they mean nothing
	inValue            // of a key, or in a list
)

// block scans keys and values up to the brace that ends the block.
func (s *scanner) block(in surrounds) {
	for s.pos < len(s.text) {
		switch r := s.peek(); {
		case unicode.IsSpace(r):
			s.next()
		case s.comment():
		case r == '}' && in != inFile:
			s.next()
			return
		case r == '}' && strings.TrimSpace(s.text[s.pos+1:]) == "":
			s.pos = len(s.text) // one brace too many at the end is forgiven
		case r == '{' && in != inValue:
			s.next()
			s.nested(func() { s.block(inBraces) })
		default:
			s.entry(in)
			s.separate(in)
		}
	}
	if in == inValue {
		s.open("block")
	}
}

// comment skips one, if there is one.
func (s *scanner) comment() bool {
	if s.peek() != '#' && !strings.HasPrefix(s.text[s.pos:], "//") {
		return false
	}
	s.until(isLineEnd)
	return true
}

// separate scans what is between a value and the next key, or the end of the block.
func (s *scanner) separate(in surrounds) {
	for s.pos < len(s.text) {
		switch r := s.peek(); {
		case isBlank(r):
			s.next()
		case s.comment():
			if in == inFile {
				return
			}
		case r == '/':
			s.next()
			if in == inValue {
				return
			}
		case isLineEnd(r) || r == ';' || r == ',':
			s.next()
			return
		case in == inFile && r == '}':
			s.next()
			return
		default:
			return
		}
	}
}

// entry scans a key and its value, or an include.
func (s *scanner) entry(in surrounds) {
	if quote := s.peek(); quote == '"' || quote == '\'' {
		s.next()
		name := s.until(func(r rune) bool { return r == quote })
		if s.next() != quote {
			s.open("quote")
			return
		}
		s.visitor.key(name, s.line)
	} else if s.bareKey(in) {
		return
	}
	s.skip(unicode.IsSpace)
	if isSeparator(s.peek()) {
		s.next()
		s.skip(unicode.IsSpace)
	}
	if in == inValue && s.peek() == '}' {
		s.visitor.broken(s.line, "the last key of the block has no value")
		return
	}
	s.value()
}

// bareKey scans a key without quotes. It is true for an include.
func (s *scanner) bareKey(in surrounds) (include bool) {
	if s.peek() == '/' && in == inValue {
		s.next() // half a comment
	}
	start := s.pos
	s.next() // whatever it is, a key has a character
	s.until(func(r rune) bool { return unicode.IsSpace(r) || isSeparator(r) })
	name := s.text[start:s.pos]
	if unicode.IsSpace(s.peek()) && strings.EqualFold(name, "include") {
		s.path()
		return true
	}
	s.visitor.key(name, s.line)
	return false
}

// path scans what is included.
func (s *scanner) path() {
	s.skip(isBlank)
	line, quote := s.line, s.peek()
	if quote == '"' || quote == '\'' {
		s.next()
		path := s.until(func(r rune) bool { return r == quote })
		s.next()
		s.visitor.include(path, line)
		return
	}
	path := s.until(func(r rune) bool { return isLineEnd(r) || isBlank(r) || r == ';' || r == '}' || r == '\'' })
	s.visitor.include(path, line)
}

// value scans what follows a key, or is in a list.
func (s *scanner) value() {
	s.skip(isBlank)
	switch r := s.peek(); {
	case r == '{':
		s.next()
		s.visitor.opened()
		s.nested(func() { s.block(inValue) })
		s.visitor.closed()
	case r == '[':
		s.next()
		s.nested(s.list)
	case r == '\'':
		s.next()
		s.until(func(r rune) bool { return r == '\'' })
		if s.next() != '\'' {
			s.open("quote")
		}
	case r == '"':
		s.next()
		s.quoted()
	case r == '(':
		s.next()
		s.lines()
	case r == '-' || unicode.IsDigit(r):
		s.number()
	default:
		s.word()
	}
}

// nested scans what is inside; from some depth on nothing more is found.
func (s *scanner) nested(inside func()) {
	if s.nesting++; s.nesting > maxNesting {
		s.pos = len(s.text)
		return
	}
	inside()
	s.nesting--
}

func (s *scanner) list() {
	for s.pos < len(s.text) {
		switch r := s.peek(); {
		case r == ']':
			s.next()
			return
		case s.comment():
		case unicode.IsSpace(r), r == ',', r == '/':
			s.next()
		default:
			before := s.pos
			if s.value(); s.pos == before {
				s.next() // no value begins like this
			}
		}
	}
	s.open("list")
}

// quoted scans up to the quote that ends the text.
func (s *scanner) quoted() {
	for s.pos < len(s.text) {
		switch s.next() {
		case '\\':
			s.next()
		case '"':
			return
		}
	}
	s.open("quote")
}

// open tells that the text ends inside of something.
func (s *scanner) open(what string) { s.visitor.broken(s.line, "a "+what+" is not closed") }

// lines scans up to a parenthesis that has a line of its own.
func (s *scanner) lines() {
	for s.pos < len(s.text) {
		if s.next() != '\n' || s.peek() != ')' {
			continue
		}
		s.next()
		if r := s.peek(); r == '\n' || r == end {
			return
		}
	}
}

// word scans a value without quotes.
func (s *scanner) word() {
	for s.pos < len(s.text) {
		switch r := s.peek(); {
		case r == '\\':
			s.next()
			s.next()
		case r == '\'':
			s.next()
			return
		case endsValue(r) || r == ']':
			return
		default:
			s.next()
		}
	}
}

// number scans what begins with a digit: that may be a size, a date, an address or a
// word in the end.
func (s *scanner) number() {
	start := s.pos
	negative := s.peek() == '-'
	s.next()
	s.skip(unicode.IsDigit)
	switch r := s.peek(); {
	case r == '-' && !negative && s.pos-start == len("2006"):
		s.pos = min(len(s.text), s.pos+len("-01-02T15:04:05Z"))
	case r == '.':
		s.next()
		s.skip(unicode.IsDigit)
		if s.peek() == '.' {
			s.skip(func(r rune) bool { return unicode.IsDigit(r) || r == '.' || r == ':' || r == '-' })
		}
	case strings.ContainsRune("kKmMgGtTpPeE", r) && r != end:
		s.next()
		s.skip(func(r rune) bool { return strings.ContainsRune("bBiI", r) && r != end })
		if !endsValue(s.peek()) {
			s.word()
		}
	case !negative && !endsValue(r):
		s.next()
		s.word()
	}
}
