package bench

import (
	"context"
	"errors"
	"os"
	"time"
)

// scratch is a folder for what the servers of a run keep. remove is deferred, and adds
// what goes wrong with it to the run's error.
func scratch() (dir string, remove func(failed *error), err error) {
	dir, err = os.MkdirTemp("", "statuswire-bench-")
	return dir, func(failed *error) { *failed = errors.Join(*failed, os.RemoveAll(dir)) }, err
}

// sleep returns after d, or with the context's error when that ends before.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
