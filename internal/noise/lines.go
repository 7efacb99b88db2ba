package noise

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// kind is what makes lines alike.
type kind struct {
	level slog.Level
	text  string
}

// maxKindBytes bounds the text of a kind.
const maxKindBytes = 64

// other stands for the kinds that find no room.
const other = "lines of other kinds"

// share is what one network has of a kind.
type share struct {
	kind    kind
	network netip.Prefix
}

// turn is when a kind has its next line, and how many it had to leave out.
type turn struct {
	limiter *rate.Limiter
	omitted int
}

// lines decides which lines are written.
type lines struct {
	next slog.Handler
	opts Options

	mu      sync.Mutex // guards what follows
	kinds   map[kind]*turn
	shares  map[share]*rate.Limiter
	swept   time.Time // when shares were last looked through
	omitted uint64    // since the beginning
	timer   *time.Timer
	closed  bool
}

func newLines(next slog.Handler, opts Options) *lines {
	return &lines{next: next, opts: opts, kinds: map[kind]*turn{}, shares: map[share]*rate.Limiter{}}
}

// admit is true for a line that is to be written. The others are counted.
func (l *lines) admit(k kind, from netip.Addr) bool {
	if len(k.text) > maxKindBytes {
		k.text = k.text[:maxKindBytes]
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	t, k := l.turnLocked(now, k)
	if l.shareLocked(now, k, from).AllowN(now, 1) && t.limiter.AllowN(now, 1) {
		return true
	}
	t.omitted++
	l.omitted++
	if l.timer == nil && !l.closed {
		l.timer = time.AfterFunc(l.opts.SumEvery, l.sum) // ends with close
	}
	return false
}

// turnLocked finds the kind's turn, in the table or in that of all others.
func (l *lines) turnLocked(now time.Time, k kind) (*turn, kind) {
	if t := l.kinds[k]; t != nil {
		return t, k
	}
	if len(l.kinds) >= l.opts.MaxKinds {
		maps.DeleteFunc(l.kinds, func(_ kind, t *turn) bool { return t.omitted == 0 && isFull(t.limiter, now) })
	}
	if len(l.kinds) >= l.opts.MaxKinds {
		k.text = other
		if t := l.kinds[k]; t != nil {
			return t, k
		}
	}
	t := &turn{limiter: rate.NewLimiter(rate.Limit(l.opts.PerSecond), l.opts.Burst)}
	l.kinds[k] = t
	return t, k
}

// shareLocked finds the network's share; nobody's is a fresh one.
func (l *lines) shareLocked(now time.Time, k kind, from netip.Addr) *rate.Limiter {
	fresh := rate.NewLimiter(rate.Limit(l.opts.NetworkPerSecond), l.opts.NetworkBurst)
	if !from.IsValid() {
		return fresh
	}
	s := share{k, l.opts.Network(from)}
	if had := l.shares[s]; had != nil {
		return had
	}
	if len(l.shares) >= l.opts.MaxNetworks && now.Sub(l.swept) >= time.Second {
		l.swept = now
		maps.DeleteFunc(l.shares, func(_ share, r *rate.Limiter) bool { return isFull(r, now) })
	}
	if len(l.shares) < l.opts.MaxNetworks {
		l.shares[s] = fresh
	}
	return fresh
}

func isFull(r *rate.Limiter, now time.Time) bool { return r.TokensAt(now) >= float64(r.Burst()) }

// sum tells how many lines of each kind were left out.
func (l *lines) sum() {
	l.mu.Lock()
	l.timer = nil
	sums := map[kind]int{}
	for k, t := range l.kinds {
		if t.omitted > 0 {
			sums[k], t.omitted = t.omitted, 0
		}
	}
	l.mu.Unlock()
	for k, n := range sums {
		r := slog.NewRecord(time.Now(), k.level, "log lines were left out", 0)
		r.AddAttrs(slog.Int("count", n), slog.String("like", short(k.text, maxKindBytes)))
		_ = l.next.Handle(context.Background(), r) // nobody is left to tell
	}
}

func (l *lines) close() {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.sum()
}

func (l *lines) total() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.omitted
}
