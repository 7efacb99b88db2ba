package bucket

import (
	"context"
	"hash/maphash"
)

// stripes are locks by key, so that writes of this process to one key do not race
// each other into retries. Other processes are held off by the compare-and-swap
// alone.
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

// lock waits for the key's lock, or until ctx ends. The returned function unlocks.
func (s *stripes) lock(ctx context.Context, key string) (unlock func(), err error) {
	slot := s.slots[maphash.String(s.seed, key)%uint64(len(s.slots))]
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
