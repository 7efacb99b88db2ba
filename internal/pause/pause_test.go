package pause_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/pause"
)

func TestFor(t *testing.T) {
	for _, c := range []struct {
		name string
		end  time.Duration // of the context
		d    time.Duration
		want bool
		took time.Duration
	}{
		{"the time passes", time.Hour, time.Minute, true, time.Minute},
		{"done comes first", time.Second, time.Minute, false, time.Second},
		{"no time at all", time.Second, 0, true, 0},
		{"done long ago", -time.Second, 0, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.end)
				defer cancel()
				begin := time.Now()
				if got := pause.For(ctx.Done(), c.d); got != c.want {
					t.Errorf("got %v", got)
				}
				if took := time.Since(begin); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}
