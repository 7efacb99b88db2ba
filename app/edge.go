package app

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/fanout/fromhistory"
	"github.com/statuswire/statuswire/internal/history"
)

func (a *App) startEdge(ctx context.Context) error {
	nc, err := a.connect(engine.PartEdge)
	if err != nil {
		return err
	}
	// The server answers a read in the read loop of the connection that asks: two
	// batches of a history are read at a time, and none holds up an answer.
	reads := make([]*nats.Conn, 2)
	for i := range reads {
		if reads[i], err = a.connect(engine.PartEdge); err != nil {
			return err
		}
	}
	opts := a.opts.Edge
	opts.Logger, opts.Version = a.log, serviceVersion()
	// A join shows what the grants say.
	opts.Limits = edge.Limits{
		Categories:       a.opts.Callout.MaxCategories,
		ChangesPerMinute: a.opts.Callout.ChangesPerMinute,
		Subscriptions:    a.opts.Callout.MaxSubscriptions,
		PayloadBytes:     a.opts.Callout.MaxPayloadBytes,
	}
	reader := history.NewReader(reads...)
	reader.UseRecent(fromhistory.Recent(a.fanout))
	if a.edge, err = edge.New(nc, edge.Deps{Directory: a.directory, History: reader, Presence: a.presence}, opts); err != nil {
		return err
	}
	if err := a.edge.Start(ctx); err != nil {
		return err
	}
	a.steps.add("drain the edge", a.edge.Stop)
	return nil
}
