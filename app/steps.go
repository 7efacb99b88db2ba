package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// step undoes one thing that Start did.
type step struct {
	name string
	stop func(context.Context) error
}

// steps is the cleanup list: last in, first out.
type steps []step

func (s *steps) add(name string, stop func(context.Context) error) {
	*s = append(*s, step{name, stop})
}

// run undoes everything, the last first, each step for at most bound. It goes
// on behind errors and joins them.
func (s *steps) run(ctx context.Context, bound time.Duration, log *slog.Logger) error {
	var errs []error
	for len(*s) > 0 {
		last := (*s)[len(*s)-1]
		*s = (*s)[:len(*s)-1]
		stepCtx, cancel := context.WithTimeout(ctx, bound)
		began := time.Now()
		err := last.stop(stepCtx)
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", last.name, err))
		}
		log.Debug("stopped", "step", last.name, "took", time.Since(began), "error", err)
	}
	return errors.Join(errs...)
}
