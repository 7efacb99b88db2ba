package limit_test

import (
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
)

func TestARateHoldsForEachKeyAlone(t *testing.T) {
	r := limit.NewRates[string](limit.UpgradesPerAddress, limit.Rule{Value: 3})
	now := time.Unix(1000, 0)
	for range 3 {
		if v := r.Take(now, "mallory"); v.Hit() {
			t.Fatalf("got %+v", v)
		}
	}
	v := r.Take(now, "mallory")
	if !v.Refused() || v.Name != limit.UpgradesPerAddress || v.Limit != 3 || v.RetryAfterSeconds() != 1 {
		t.Fatalf("the fourth: %+v", v)
	}
	if v := r.Take(now, "alice"); v.Hit() {
		t.Fatalf("another key: %+v", v)
	}
	now = now.Add(v.RetryAfter)
	if v := r.Take(now, "mallory"); v.Hit() {
		t.Fatalf("after the time told: %+v", v)
	}
	if v := r.Take(now, "mallory"); !v.Refused() {
		t.Fatalf("and one more: %+v", v)
	}
}

func TestKeysOfARateAreForgottenWithinASecond(t *testing.T) {
	r := limit.NewRates[int](limit.UpgradesPerAddress, limit.Rule{Value: 2})
	now := time.Unix(1000, 0)
	for i := range 500 {
		r.Take(now, i)
		r.Take(now, i)
		r.Take(now, i) // refused, which costs the key nothing more
	}
	r.Take(now.Add(time.Second), -1)
	if r.Len() != 1 {
		t.Fatalf("%d keys are left", r.Len())
	}
}

func TestKeysOfARateAreBounded(t *testing.T) {
	r := limit.NewRates[int](limit.UpgradesPerAddress, limit.Rule{Value: 1})
	now := time.Unix(1000, 0)
	for i := range limit.MaxWindowKeys + 100 {
		if v := r.Take(now, i); v.Hit() {
			t.Fatalf("key %d: %+v", i, v)
		}
	}
	if r.Len() != limit.MaxWindowKeys {
		t.Fatalf("%d keys", r.Len())
	}
	if v := r.Take(now, limit.MaxWindowKeys+50); !v.Refused() {
		t.Fatal("a recent key was forgotten")
	}
}
