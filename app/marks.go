package app

import (
	"context"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/internal/metrics"
)

// startMarks reads back how far the browsers of an earlier process were. The last
// marks are written when the browsers have been closed.
func (a *App) startMarks(ctx context.Context) error {
	nc, err := a.connect(engine.PartMarks)
	if err != nil {
		return err
	}
	opts := a.opts.Marks
	opts.Logger = a.log
	if a.marks, err = mark.New(opts); err != nil {
		return err
	}
	if a.markKeeper, err = mark.NewKeeper(nc, engine.StreamMarks, a.marks); err != nil {
		return err
	}
	if err := a.markKeeper.Start(ctx); err != nil {
		return err
	}
	a.steps.add("write the marks", a.markKeeper.Stop)
	a.expectBack(ctx)
	return nil
}

// expectBack opens what the browsers of an earlier process were subscribed to: they come
// back all at once. Without it they are served as well, each from the stream.
func (a *App) expectBack(ctx context.Context) {
	places := map[string]fanout.Place{}
	for subject, place := range a.marks.Places() {
		places[subject] = fanout.Place(place)
	}
	if err := a.fanout.Restore(ctx, places); err != nil {
		a.log.Warn("what browsers were subscribed to is opened when they are back", "error", err)
	}
}

func (a *App) markStats() metrics.MarkStats {
	s, k := a.marks.Stats(), a.markKeeper.Stats()
	return metrics.MarkStats{
		Keys: s.Keys, Away: s.Away, Bytes: s.Bytes, Forgotten: s.Forgotten, Refused: s.Refused,
		Written: k.Written, WrittenBytes: k.Bytes, WriteFailures: k.Failures,
	}
}
