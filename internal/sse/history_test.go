package sse_test

import (
	"testing"

	"github.com/statuswire/statuswire/internal/sse"
)

func TestAHistoryThatComesAllAtOnceKeepsItsEnd(t *testing.T) {
	for range 100 { // which of the two is seen first is chance
		if end, err := sse.AwaitWhole(); err != nil || end != "the end" {
			t.Fatalf("%v, and what is written last is %q", err, end)
		}
	}
}
