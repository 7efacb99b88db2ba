package bucket_test

import (
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/bucket"
)

func TestBadOptionsAreRefused(t *testing.T) {
	for name, opts := range map[string]bucket.Options{
		"a negative timeout":        {WriteTimeout: -1},
		"a heartbeat of a minute":   {Heartbeat: time.Minute},
		"a negative window":         {Window: -1},
		"a heartbeat of nanosecond": {Heartbeat: 1},
	} {
		if opts.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := bucket.DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
}
