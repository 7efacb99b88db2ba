package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Error is one thing that is wrong in a configuration file.
type Error struct {
	File string // as the user named it
	Line int    // counted from 1; 0 when the error has no line
	Text string // what is wrong and what to write instead; never a secret
}

// Error implements error: "statuswire.conf:12: limits.subscriptions is 0: …".
func (e *Error) Error() string {
	if e.Line < 1 {
		return fmt.Sprintf("%s: %s", e.File, e.Text)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// problems collects what is wrong, to report it all at once.
type problems []*Error

func (p *problems) add(at place, format string, args ...any) {
	*p = append(*p, &Error{File: at.file, Line: at.line, Text: fmt.Sprintf(format, args...)})
}

// err joins the problems, by file, line and text: they are found in no order. It
// is nil when there are none.
func (p problems) err() error {
	slices.SortFunc(p, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	joined := make([]error, len(p))
	for i, e := range p {
		joined[i] = e
	}
	return errors.Join(joined...)
}
