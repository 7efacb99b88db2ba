// Package text finds where a text is not UTF-8. Decoders read such bytes as U+FFFD
// without a word, and then two names are one: what people write, in files, in requests
// and on the command line, is looked at here before it is decoded.
package text

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Fault is the first byte of a text that is not UTF-8.
type Fault struct {
	Line, Column int // from 1; a column is a character
	Byte         byte
}

// Error implements error. It leaves out the line, which who reports often knows
// better.
func (f *Fault) Error() string {
	return fmt.Sprintf("column %d: byte 0x%02x is not UTF-8", f.Column, f.Byte)
}

// Check returns the *Fault of a text, nil for one that is UTF-8.
func Check(data []byte) *Fault {
	if utf8.Valid(data) {
		return nil
	}
	i := 0
	for i < len(data) {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	before := data[:i]
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	return &Fault{Line: 1 + bytes.Count(before, []byte{'\n'}), Column: 1 + utf8.RuneCount(line), Byte: data[i]}
}
