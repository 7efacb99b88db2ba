package gateway_test

import (
	"runtime"
	"runtime/metrics"
	"testing"

	"github.com/statuswire/statuswire/gateway"
)

// A socket that waits for its browser kept a stack of 16 KiB, most of what it took. The
// race detector makes frames larger: with it 8 KiB are right, without it 4.
func TestASilentSocketHasASmallStack(t *testing.T) {
	const sockets, most = 300, 9 << 10
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	before := stacks()
	for range sockets {
		r.login("alice").sub("status.c1.engine", "1")
	}
	each := func() int { return int(stacks()-before) / sockets }
	eventually(t, "the stacks are small", func() bool { return each() <= most })
	t.Logf("%d bytes each", each())
}

// stacks is what all goroutines' stacks take once those that can be smaller are: each
// collection halves them at most.
func stacks() uint64 {
	for range 4 {
		runtime.GC()
	}
	s := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
