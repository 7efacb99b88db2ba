package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"

	"github.com/statuswire/statuswire/internal/noise"
)

// serverLog hands the server's lines to slog and keeps the first fatal one: the
// server says so and returns, where its own program would exit. An error that is not
// one client's may be of a stream: who watches the streams is told.
type serverLog struct {
	logger   *slog.Logger
	troubled chan<- struct{}

	mu    sync.Mutex // guards first
	first error
}

func newServerLog(logger *slog.Logger, troubled chan<- struct{}) *serverLog {
	return &serverLog{logger: logger.With("from", "nats-server"), troubled: troubled}
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

func (l *serverLog) Errorf(format string, args ...any) {
	l.say(slog.LevelError, format, args)
}

func (l *serverLog) Warnf(format string, args ...any) {
	l.say(slog.LevelWarn, format, args)
}

func (l *serverLog) Noticef(format string, args ...any) {
	l.say(slog.LevelDebug, format, args)
}

func (l *serverLog) Debugf(format string, args ...any) {
	l.say(slog.LevelDebug, format, args)
}

// Tracef drops the line: a trace shows what clients send, tokens among it.
func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) say(level slog.Level, format string, args []any) {
	level, text := tame(level, fmt.Sprintf(format, args...))
	if level >= slog.LevelError {
		select {
		case l.troubled <- struct{}{}:
		default: // told already
		}
	}
	l.logger.Log(noise.Context(likeOf(format, text)), level, text)
}

// likeOf tells noise which lines are like this one, and whose it is. The server puts
// a connection's address, number and name into its formats (client.go of nats-server
// 2.15.2, String and format): those lines are all of a kind. Other formats are
// constant.
func likeOf(format, text string) (kind string, from netip.Addr) {
	who, _, found := strings.Cut(text, " - ")
	if !found {
		return format, netip.Addr{}
	}
	if ap, err := netip.ParseAddrPort(who); err == nil {
		return ofConnection, ap.Addr()
	}
	if strings.Contains(text, "id:") { // cid, rid, gid, lid: it came by a pipe
		return ofConnection, netip.Addr{}
	}
	return format, netip.Addr{}
}

const ofConnection = "a connection of the NATS server"

// tame gives a line of the server the weight that it has here, and takes out what a
// client sent. The texts are those of nats-server 2.15.2.
//
//   - A denied login makes two lines. It is everyday, and the audit has it: Debug.
//   - Other faults of one client are its own: at most Warn.
//   - A parser error quotes the bytes that it stumbled over, which may be a token.
func tame(level slog.Level, text string) (slog.Level, string) {
	text, _, _ = strings.Cut(text, ": proto=")
	ofClient := strings.Contains(text, " - cid:")
	switch {
	case ofClient && strings.Contains(text, " - authentication error"), strings.HasPrefix(text, "Auth callout "):
		level = min(level, slog.LevelDebug)
	case ofClient:
		level = min(level, slog.LevelWarn)
	}
	return level, text
}
