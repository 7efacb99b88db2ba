package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After a storm of logins, or of anything, the runtime holds what that has left until
// enough is allocated for a collection, which in a quiet process is minutes, and then
// gives it to the system a little at a time. Who runs several services on a machine, or
// watches a container, sees a process that has grown for good.

const (
	// giveBackEvery is how often the heap is looked at.
	giveBackEvery = 5 * time.Second
	// worthGivingBack is by how many bytes the heap has to have grown since it was last
	// given back, and by how much of that: a collection costs some ms of a processor.
	worthGivingBack  = 8 << 20
	worthGivingShare = 8
)

// heap is what there is of it, in bytes.
type heap struct {
	allocated uint64 // since the start
	resident  uint64 // held of the system
	live      uint64 // at the last collection
}

// giveBack returns memory to the system when the process has become quiet, until the
// context ends.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(giveBackEvery)
	defer tick.Stop()
	w := &heapWatch{}
	for {
		select {
		case <-tick.C:
			if w.isWorthIt(readHeap()) {
				// Each collection halves the stacks that were deep and are not any more:
				// those of a login are 16 to 32 KiB, and 4 are enough for who waits.
				runtime.GC()
				runtime.GC()
				debug.FreeOSMemory()
				w.given(readHeap())
			}
		case <-ctx.Done():
			return
		}
	}
}

// heapWatch decides when memory is given back.
type heapWatch struct {
	last  heap
	floor uint64 // the least that was resident since memory was given back
}

// isWorthIt is true when there is enough to give back, and so little was allocated since
// the last look that what is given back is not taken again at once: little beside what
// lives, or beside what does not.
func (w *heapWatch) isWorthIt(now heap) bool {
	since := now.allocated - w.last.allocated
	w.last, w.floor = now, min(w.floor, now.resident)
	dead := now.resident - min(now.live, now.resident)
	return since < max(now.live/4, dead/8) && now.resident > w.floor+max(worthGivingBack, w.floor/worthGivingShare)
}

// given notes what is left.
func (w *heapWatch) given(now heap) { w.last, w.floor = now, now.resident }

// readHeap asks the runtime, which stops nothing for it.
func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	of := func(i int) uint64 { return samples[i].Value.Uint64() }
	return heap{allocated: of(0), live: of(1), resident: of(2) + of(3) + of(4)}
}
