package test

import "math/rand/v2"

// lifeSeeds are random lives, the same in each run; what fuzzing found stands in
// testdata/fuzz/FuzzLifecycle.
func lifeSeeds() [][]byte {
	seeds := [][]byte{{0}}
	for i := range uint64(24) {
		r := rand.New(rand.NewPCG(i, 4))
		seed := make([]byte, 40+r.IntN(280))
		for j := range seed {
			seed[j] = byte(r.Uint32())
		}
		seeds = append(seeds, seed)
	}
	return seeds
}
