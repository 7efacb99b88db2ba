package kv_test

import (
	"testing"

	"github.com/statuswire/statuswire/internal/directory/directorytest"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/internal/engine"
)

func TestSuite(t *testing.T) {
	engines := map[*testing.T]*engine.Engine{}
	directorytest.Run(t, func(t *testing.T) directorytest.Directory {
		if engines[t] == nil {
			engines[t] = startEngine(t)
		}
		return kv.New(connect(t, engines[t], engine.PartDirectory), kv.Options{})
	})
}
