package app

import (
	"context"

	"github.com/statuswire/statuswire/internal/consumers"
	"github.com/statuswire/statuswire/internal/engine"
)

// startConsumers lets operators read the streams, each with a connection in the
// stream's account.
func (a *App) startConsumers(ctx context.Context) error {
	for _, s := range []struct {
		part   engine.Part
		stream string
	}{
		{engine.PartConsumers, engine.StreamStatus},
		{engine.PartStateConsumers, engine.StreamAudit},
		{engine.PartStateConsumers, engine.StreamAuditAdmin},
	} {
		nc, err := a.connect(s.part)
		if err != nil {
			return err
		}
		service, err := consumers.New(nc, s.stream, consumers.Options{Logger: a.log})
		if err != nil {
			return err
		}
		if err := service.Start(ctx); err != nil {
			return err
		}
		a.steps.add("end the consumers' service of "+s.stream, service.Stop)
	}
	return nil
}
