package main

import (
	"runtime/debug"
	"testing"
)

// After a storm the process kept what it had held at most.
func TestMemoryIsGivenBackOnceItIsQuiet(t *testing.T) {
	const mib = 1 << 20
	w := &heapWatch{}
	for _, look := range []struct {
		name string
		now  heap // MiB
		want bool
		left uint64 // MiB that are resident after it was given back
	}{
		{"while it starts", heap{allocated: 40, live: 10, resident: 30}, false, 0},
		{"started", heap{allocated: 41, live: 10, resident: 30}, true, 20},
		{"nothing new", heap{allocated: 42, live: 10, resident: 21}, false, 0},
		{"a little more", heap{allocated: 44, live: 10, resident: 27}, false, 0},
		{"a storm", heap{allocated: 400, live: 40, resident: 90}, false, 0},
		{"and the end of it", heap{allocated: 405, live: 40, resident: 90}, true, 24},
		{"so it stays", heap{allocated: 406, live: 12, resident: 25}, false, 0},
		{"others want the memory, and it is less", heap{allocated: 407, live: 12, resident: 14}, false, 0},
		{"it grows from there", heap{allocated: 409, live: 12, resident: 23}, true, 14},
		{"many come, and stay", heap{allocated: 560, live: 20, resident: 95}, false, 0},
		{"each of them does a little", heap{allocated: 566, live: 20, resident: 95}, true, 50},
		{"steady traffic", heap{allocated: 574, live: 20, resident: 80}, false, 0},
	} {
		now := heap{allocated: look.now.allocated * mib, live: look.now.live * mib, resident: look.now.resident * mib}
		if got := w.isWorthIt(now); got != look.want {
			t.Fatalf("%s: %v, want %v", look.name, got, look.want)
		}
		if look.want {
			now.resident = look.left * mib
			w.given(now)
		}
	}
}

// A large heap is not collected for a small part of it.
func TestMoreOfALargeHeapHasToBeWorthIt(t *testing.T) {
	const mib = 1 << 20
	w := &heapWatch{last: heap{allocated: mib}, floor: 800 * mib}
	if w.isWorthIt(heap{allocated: mib, live: 700 * mib, resident: 899 * mib}) {
		t.Error("99 of 800 MiB")
	}
	if !w.isWorthIt(heap{allocated: mib, live: 700 * mib, resident: 901 * mib}) {
		t.Error("not 101 of 800 MiB")
	}
}

func TestTheHeapIsReadAsItIs(t *testing.T) {
	block := make([]byte, 64<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	full := readHeap()
	if block[4096] != 1 {
		t.Fatal("not written")
	}
	block = nil
	debug.FreeOSMemory()
	given := readHeap()
	if freed := int64(full.resident) - int64(given.resident); freed < 60<<20 {
		t.Errorf("64 MiB that were given back are %d bytes less", freed)
	}
	if given.allocated < full.allocated || given.allocated < 64<<20 || given.live == 0 {
		t.Errorf("%+v after %+v", given, full)
	}
}
