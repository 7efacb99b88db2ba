package descriptors_test

import (
	"testing"

	"github.com/statuswire/statuswire/internal/descriptors"
)

func TestEverybodyGetsAShareAndNoMoreThanThereIs(t *testing.T) {
	for available, want := range map[int]descriptors.Budget{
		100:     {Available: 100, Own: 64, Services: 32, Spare: 8, Browsers: -4},
		128:     {Available: 128, Own: 64, Services: 32, Spare: 8, Browsers: 24},
		1024:    {Available: 1024, Own: 64, Services: 128, Spare: 64, Browsers: 768},
		20_000:  {Available: 20_000, Own: 64, Services: 2500, Spare: 64, Browsers: 17_372},
		1 << 40: {Available: 1 << 20, Own: 64, Services: 4096, Spare: 64, Browsers: 1<<20 - 4224},
	} {
		got := descriptors.Share(available)
		if got != want {
			t.Errorf("of %d: %+v, want %+v", available, got, want)
		}
		if sum := got.Own + got.Services + got.Spare + got.Browsers; sum != got.Available {
			t.Errorf("of %d: the shares are %d together", available, sum)
		}
	}
}

func TestNeededIsTheLeastThatReaches(t *testing.T) {
	for _, browsers := range []int{1, 24, 768, 17_372, 100_000, 900_000} {
		n := descriptors.Needed(browsers)
		if got := descriptors.Share(n).Browsers; got < browsers {
			t.Errorf("for %d browsers: %d are said to do, and give %d", browsers, n, got)
		}
		if got := descriptors.Share(n - 1).Browsers; got >= browsers {
			t.Errorf("for %d browsers: %d would do as well as %d", browsers, n-1, n)
		}
	}
}
