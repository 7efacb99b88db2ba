package broadcaster

import (
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// How many lines a publisher that has run wild can write into the log.
const (
	logLinesPerSecond = 1
	logLinesAtOnce    = 10
)

// quietLog bounds the rate of its lines and says how many it left out.
type quietLog struct {
	logger  *slog.Logger
	limiter *rate.Limiter
	omitted atomic.Uint64
}

func newQuietLog(logger *slog.Logger) *quietLog {
	return &quietLog{logger: logger, limiter: rate.NewLimiter(logLinesPerSecond, logLinesAtOnce)}
}

func (l *quietLog) warn(text string, args ...any) {
	if !l.limiter.Allow() {
		l.omitted.Add(1)
		return
	}
	if n := l.omitted.Swap(0); n > 0 {
		args = append(args, "omitted", n)
	}
	l.logger.Warn(text, args...)
}
