package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// serverLog hands the server's lines to slog and keeps the first fatal one: the
// server says so and returns, where its own program would exit.
type serverLog struct {
	logger *slog.Logger

	mu    sync.Mutex // guards first
	first error
}

func newServerLog(logger *slog.Logger) *serverLog {
	return &serverLog{logger: logger.With("from", "nats-server")}
}

// fatal returns the first line that would have ended nats-server's own program.
func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

func (l *serverLog) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.mu.Lock()
	if l.first == nil {
		l.first = errors.New(text)
	}
	l.mu.Unlock()
	l.logger.Error(text)
}

func (l *serverLog) Errorf(format string, args ...any)  { l.logger.Error(fmt.Sprintf(format, args...)) }
func (l *serverLog) Warnf(format string, args ...any)   { l.logger.Warn(fmt.Sprintf(format, args...)) }
func (l *serverLog) Noticef(format string, args ...any) { l.logger.Debug(fmt.Sprintf(format, args...)) }
func (l *serverLog) Debugf(format string, args ...any)  { l.logger.Debug(fmt.Sprintf(format, args...)) }

// Tracef drops the line: a trace shows what clients send, tokens among it.
func (l *serverLog) Tracef(string, ...any) {}
