package noise

import (
	"context"
	"log"
	"log/slog"
	"net/netip"
	"strings"
)

type sourceKey struct{}

// source is what a context says of a line.
type source struct {
	kind string
	from netip.Addr
}

// Context says of a line whose text varies which lines it is like, and whose it is:
// the zero Addr when that is not known. For Logger.Log.
func Context(kind string, from netip.Addr) context.Context {
	return context.WithValue(context.Background(), sourceKey{}, source{kind, from})
}

// Lines is for a library that writes lines, as net/http does into its ErrorLog.
// Lines are alike up to the first digit or bracket: an address begins so. What
// follows the first line of a text is its stack.
func Lines(l *slog.Logger, level slog.Level) *log.Logger {
	return log.New(lineWriter{l, level}, "", 0)
}

type lineWriter struct {
	logger *slog.Logger
	level  slog.Level
}

func (w lineWriter) Write(p []byte) (int, error) {
	text, stack, _ := strings.Cut(strings.TrimSuffix(string(p), "\n"), "\n")
	kind, from := text, netip.Addr{}
	if i := strings.IndexAny(text, "[0123456789"); i >= 0 {
		kind = text[:i]
		word, _, _ := strings.Cut(text[i:], " ")
		if a, err := netip.ParseAddrPort(strings.TrimSuffix(word, ":")); err == nil {
			from = a.Addr()
		}
	}
	var attrs []slog.Attr
	if stack = strings.TrimSpace(stack); stack != "" {
		attrs = append(attrs, slog.String(stackKey, stack))
	}
	w.logger.LogAttrs(Context(strings.TrimSpace(kind), from), w.level, text, attrs...)
	return len(p), nil
}
