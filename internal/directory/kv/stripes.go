package kv

import (
	"context"
	"hash/maphash"

	"github.com/statuswire/statuswire/status"
)

// stripes are locks by conversation, so that writes of this process to one
// conversation do not race each other into retries. Other processes are held
// off by the compare-and-swap alone.
type stripes struct {
	seed  maphash.Seed
	slots [64]chan struct{}
}

func newStripes() stripes {
	s := stripes{seed: maphash.MakeSeed()}
	for i := range s.slots {
		s.slots[i] = make(chan struct{}, 1)
	}
	return s
}

// lock waits for the conversation's lock, or until ctx ends. The returned
// function unlocks.
func (s *stripes) lock(ctx context.Context, id status.ConversationID) (unlock func(), err error) {
	slot := s.slots[maphash.String(s.seed, string(id))%uint64(len(s.slots))]
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
