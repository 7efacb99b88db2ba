package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// The errors of the parser in nats-server 2.15.2, which are plain text.
var (
	syntaxError  = regexp.MustCompile(`(?s)^Parse error on line (\d+): '(.*)'$`)
	includeError = regexp.MustCompile(`(?s)^error parsing include file '([^']*)', (.*)$`)
	onLine       = regexp.MustCompile(`(?s)^(.*) on line (\d+) (.*)$`)
	badNumber    = regexp.MustCompile(`\b(integer|float) '[^']*'`)
	gotRune      = regexp.MustCompile(`'(\d+)'`)
)

// syntaxProblem gives the parser's error its file and line.
func syntaxProblem(file string, source []byte, err error) *Error {
	text := err.Error()
	if m := includeError.FindStringSubmatch(text); m != nil {
		included := filepath.Join(filepath.Dir(file), m[1])
		var missing *fs.PathError
		if errors.As(err, &missing) || strings.HasPrefix(m[2], "open ") || strings.HasPrefix(m[2], "read ") {
			return &Error{File: file, Line: lineOf(source, m[1]), Text: fmt.Sprintf("included file %q cannot be read: it is looked for in the folder of this file", m[1])}
		}
		return syntaxProblem(included, nil, errors.New(m[2]))
	}
	if m := syntaxError.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1])
		return &Error{File: file, Line: line, Text: badSyntax(m[2])}
	}
	if m := onLine.FindStringSubmatch(text); m != nil { // variable reference for 'X' on line 3 can not be found
		line, _ := strconv.Atoi(m[2])
		return &Error{File: file, Line: line, Text: strings.Replace(m[1], "variable reference for ", "variable ", 1) + " " + masked(m[3]) + ": set it in the environment, or in this file above"}
	}
	if strings.HasPrefix(text, "config is invalid") {
		return &Error{File: file, Line: 1 + strings.Count(strings.TrimRight(string(source), " \t\r\n"), "\n"), Text: "bad syntax: the last key has no value"}
	}
	if _, quoted, ok := strings.Cut(text, "'"); ok { // integer '99…' is out of the range
		quoted, _, _ = strings.Cut(quoted, "'")
		return &Error{File: file, Line: lineOf(source, quoted), Text: "bad value: " + masked(text) + "; text of digits goes in quotes"}
	}
	return &Error{File: file, Text: text}
}

// badSyntax words what the lexer says.
func badSyntax(text string) string {
	return "bad syntax: " + readable(text) + "; look for a missing quote, comma or brace here or above"
}

// readable writes the lexer's runes, which it prints as numbers, as characters.
func readable(s string) string {
	s = gotRune.ReplaceAllStringFunc(s, func(q string) string {
		n, err := strconv.Atoi(strings.Trim(q, "'"))
		if err != nil || n > 0x10FFFF {
			return q
		}
		if n == 0 {
			return "the end of the file"
		}
		return strconv.QuoteRune(rune(n))
	})
	return strings.TrimSuffix(lowerFirst(s), ".")
}

// masked leaves the value out of the parser's text: it may be a secret.
func masked(s string) string {
	return badNumber.ReplaceAllString(s, "the $1 here")
}

func lowerFirst(s string) string {
	if s == "" || strings.HasPrefix(s, "BUG") {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// lineOf finds the first line that holds s, 0 when there is none.
func lineOf(source []byte, s string) int {
	i := strings.Index(string(source), s)
	if i < 0 {
		return 0
	}
	return 1 + strings.Count(string(source[:i]), "\n")
}

// pathCause is the bare cause of a file error: "no such file or directory".
func pathCause(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
