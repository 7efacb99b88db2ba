package rounds_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/rounds"
)

func TestEachIsCalledOnceInAnIntervalAndNotAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members = 100
		start := time.Now()
		calls, times := map[int]int{}, map[time.Duration]int{}
		var mu sync.Mutex
		r := rounds.New(time.Second, func(i int) {
			mu.Lock()
			defer mu.Unlock()
			calls[i]++
			times[time.Since(start)]++
		})
		for i := range members {
			r.Add(uint64(i), i)
		}
		var running sync.WaitGroup
		running.Go(r.Run)
		time.Sleep(time.Second)
		synctest.Wait()
		r.Remove(7, 7)
		mu.Lock()
		for i := range members {
			if calls[i] != 1 {
				t.Errorf("%d was called %d times in an interval", i, calls[i])
			}
		}
		for at, n := range times {
			if n != members/20 {
				t.Errorf("%d calls after %v", n, at)
			}
		}
		mu.Unlock()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		r.Stop()
		r.Stop()
		running.Wait()
		if calls[7] != 1 || calls[8] != 4 {
			t.Errorf("one that was removed was called %d times, another %d", calls[7], calls[8])
		}
	})
}

func TestRoundsThatAreStoppedBeforeTheyRunEndAtOnce(t *testing.T) {
	r := rounds.New(time.Hour, func(int) { t.Error("called") })
	r.Add(1, 1)
	r.Stop()
	r.Run()
}
