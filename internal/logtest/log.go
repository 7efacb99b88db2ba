// Package logtest is for tests that read what a process logs while it runs.
package logtest

import (
	"bytes"
	"strings"
	"sync"
)

// Log is what a log, or a process, writes on. The zero value is an empty one. Safe for
// concurrent use.
type Log struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write appends p.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is all that was written until now.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Count is how often the text was written until now.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }
