package main

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"testing"
)

func TestTheHeapKeepsWithinTheMachine(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	logger := slog.New(slog.DiscardHandler)

	const own = 3 << 40
	debug.SetMemoryLimit(own)
	t.Setenv("GOMEMLIMIT", "3TiB")
	limitMemory(logger)
	if got := debug.SetMemoryLimit(-1); got != own {
		t.Errorf("with GOMEMLIMIT the limit became %d, want %d", got, int64(own))
	}

	if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
		t.Fatal(err)
	}
	limitMemory(logger)
	if got := debug.SetMemoryLimit(-1); got <= 0 || got == own || got == math.MaxInt64 {
		t.Errorf("without GOMEMLIMIT the limit is %d", got)
	}
}
