package noise

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
)

// Handler hands records on, with bounded values and at a bounded rate. What is
// left out it counts, and sums up in lines of its own. Safe for concurrent use.
type Handler struct {
	next   slog.Handler
	lines  *lines     // shared by all that come from one New
	from   netip.Addr // an address that With has set
	always bool
}

// New returns a Handler in front of next. Close ends it.
func New(next slog.Handler, opts Options) *Handler {
	return &Handler{next: next, lines: newLines(next, opts.withDefaults())}
}

// Close writes the sums that wait. Lines that come later are handed on as before,
// but what is left out of them is not told any more.
func (h *Handler) Close() { h.lines.close() }

// Omitted is how many lines were left out since New.
func (h *Handler) Omitted() uint64 { return h.lines.total() }

// Always returns a logger whose lines are never left out, for what operators do and
// for what happens once. Their values are cut all the same.
func Always(l *slog.Logger) *slog.Logger {
	h, ok := l.Handler().(*Handler)
	if !ok {
		return l
	}
	always := *h
	always.always = true
	return slog.New(&always)
}

// Enabled asks the next handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle hands the record on, or counts it.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if !h.always && !h.lines.admit(h.about(ctx, r)) {
		return nil
	}
	bounded := slog.NewRecord(r.Time, r.Level, short(r.Message, h.lines.opts.MaxTextBytes), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		bounded.AddAttrs(h.bound(a))
		return true
	})
	return h.next.Handle(ctx, bounded)
}

// about says which lines the record is like, and whose it is, if that is known.
func (h *Handler) about(ctx context.Context, r slog.Record) (kind, netip.Addr) {
	k, from := kind{r.Level, r.Message}, h.from
	if s, ok := ctx.Value(sourceKey{}).(source); ok {
		k.text, from = s.kind, s.from
	}
	r.Attrs(func(a slog.Attr) bool {
		if addr, ok := addressOf(a.Value); ok {
			from = addr
		}
		return !from.IsValid()
	})
	return k, from
}

func addressOf(v slog.Value) (netip.Addr, bool) {
	if v.Kind() != slog.KindAny {
		return netip.Addr{}, false
	}
	switch a := v.Any().(type) {
	case netip.Addr:
		return a, a.IsValid()
	case netip.AddrPort:
		return a.Addr(), a.IsValid()
	}
	return netip.Addr{}, false
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	bounded := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		if addr, ok := addressOf(a.Value); ok {
			with.from = addr
		}
		bounded[i] = h.bound(a)
	}
	with.next = h.next.WithAttrs(bounded)
	return &with
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	with := *h
	with.next = h.next.WithGroup(name)
	return &with
}

// stackKey is the key of a value that needs more room.
const stackKey = "stack"

// bound is the attribute with every text in bounds. What is written as it is, a
// number or a time, stays.
func (h *Handler) bound(a slog.Attr) slog.Attr {
	most := h.lines.opts.MaxValueBytes
	if a.Key == stackKey {
		most = h.lines.opts.MaxStackBytes
	}
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(short(v.String(), most))
	case slog.KindAny:
		if v.Any() != nil { // an error that is nil
			a.Value = slog.StringValue(short(fmt.Sprintf("%+v", v.Any()), most))
		}
	case slog.KindGroup:
		members := v.Group()
		bounded := make([]slog.Attr, len(members))
		for i, m := range members {
			bounded[i] = h.bound(m)
		}
		a.Value = slog.GroupValue(bounded...)
	default:
		a.Value = v
	}
	return a
}
