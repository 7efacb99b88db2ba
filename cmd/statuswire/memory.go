package main

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is how much of the memory there is the heap may take before it is
// collected early. The rest is for what is no heap, and for the kernel's buffers of
// the sockets.
const memoryShare = 0.75

// limitMemory has the garbage collector keep within the memory of the container, or
// of the machine. The NATS server keeps blocks of a stream that were read until a
// collection (nats-server 2.15.2, server/elastic): who reads the history of a long
// stream would have the process grow with the stream. GOMEMLIMIT in the environment
// goes before.
func limitMemory(logger *slog.Logger) {
	_, err := memlimit.Set(
		memlimit.WithRatio(memoryShare),
		memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)),
	)
	if err != nil {
		logger.Warn("the memory of this machine is not known: set GOMEMLIMIT", "error", err)
	}
}
