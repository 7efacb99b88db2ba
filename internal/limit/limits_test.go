package limit_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
)

func TestNetworkIsWhatOneUserHas(t *testing.T) {
	tests := []struct{ name, address, want string }{
		{"IPv4 is itself", "192.0.2.7", "192.0.2.7/32"},
		{"IPv4 in IPv6 is the same", "::ffff:192.0.2.7", "192.0.2.7/32"},
		{"IPv6 is its /64", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"another host of the /64 is the same", "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"},
		{"the next /64 is another", "2001:db8:1:3::1", "2001:db8:1:3::/64"},
		{"a zone is left out", "fe80::1%eth0", "fe80::/64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := limit.Network(netip.MustParseAddr(tt.address)).String(); got != tt.want {
				t.Fatalf("got %s, want %s", got, tt.want)
			}
		})
	}
	if got := limit.Network(netip.Addr{}); got != (netip.Prefix{}) {
		t.Fatalf("no address is %v", got)
	}
}

func TestCountersHoldEachKeyToItsLimit(t *testing.T) {
	c := limit.NewCounters[string](limit.ConnectionsPerUser, limit.Rule{Value: 2})
	for range 2 {
		if v := c.Take("alice"); v.Hit() {
			t.Fatalf("%+v", v)
		}
	}
	want := limit.Verdict{Name: limit.ConnectionsPerUser, Limit: 2, Used: 2, Wanted: 1}
	if v := c.Take("alice"); v != want || !v.Refused() {
		t.Fatalf("got %+v, want %+v", v, want)
	}
	if v := c.Take("bob"); v.Hit() {
		t.Fatalf("another key: %+v", v)
	}
	c.Release("alice")
	if v := c.Take("alice"); v.Hit() {
		t.Fatalf("after a release: %+v", v)
	}
	for range 5 { // more often than taken
		c.Release("alice")
		c.Release("bob")
	}
	if c.Len() != 0 || c.Usage("alice").Used != 0 {
		t.Fatalf("%d keys are left", c.Len())
	}
}

func TestCountersInDryRunCountAndLetPass(t *testing.T) {
	c := limit.NewCounters[string](limit.ConnectionsPerUser, limit.Rule{Value: 1, DryRun: true})
	c.Take("alice")
	if v := c.Take("alice"); !v.Dry || !v.Hit() || v.Refused() || v.Used != 1 {
		t.Fatalf("%+v", v)
	}
	if u := c.Usage("alice"); u.Used != 2 || !u.Exceeded() {
		t.Fatalf("%+v", u)
	}
	c.Release("alice")
	c.Release("alice")
	if c.Len() != 0 {
		t.Fatalf("%d keys are left", c.Len())
	}
}

func TestFailedLoginsOfAnAddress(t *testing.T) {
	a, b := netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/64")
	synctest.Test(t, func(t *testing.T) {
		w := limit.NewWindows[netip.Prefix](limit.FailedLogins, limit.Rule{Value: 20}, limit.FailedLoginsPeriod)
		for range 20 {
			if v := w.Check(time.Now(), a); v.Hit() {
				t.Fatalf("%+v", v)
			}
			w.Add(time.Now(), a)
			time.Sleep(time.Second)
		}
		want := limit.Verdict{Name: limit.FailedLogins, Limit: 20, Used: 20, Wanted: 1, RetryAfter: 40 * time.Second}
		if v := w.Check(time.Now(), a); v != want {
			t.Fatalf("got %+v, want %+v", v, want)
		}
		if v := w.Check(time.Now(), b); v.Hit() {
			t.Fatalf("another address: %+v", v)
		}
		time.Sleep(40*time.Second - 1)
		if v := w.Check(time.Now(), a); !v.Refused() || v.RetryAfter != 1 || v.RetryAfterSeconds() != 1 {
			t.Fatalf("just before the edge: %+v", v)
		}
		time.Sleep(time.Nanosecond)
		if v := w.Check(time.Now(), a); v.Hit() {
			t.Fatalf("at the edge: %+v", v)
		}
		time.Sleep(19*time.Second - 1)
		if w.Prune(time.Now()); w.Len() != 1 {
			t.Fatalf("%d keys while one failure counts", w.Len())
		}
		time.Sleep(time.Nanosecond)
		if w.Prune(time.Now()); w.Len() != 0 {
			t.Fatalf("%d keys are left", w.Len())
		}
	})
}

func TestWindowsInDryRunCountAndLetPass(t *testing.T) {
	w := limit.NewWindows[string](limit.FailedLogins, limit.Rule{Value: 1, DryRun: true}, time.Minute)
	now := time.Now()
	w.Add(now, "a")
	if v := w.Check(now, "a"); !v.Hit() || v.Refused() || v.RetryAfter != time.Minute {
		t.Fatalf("%+v", v)
	}
}

func TestWindowsTakeUpToTheLimitAndCountNothingThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := limit.NewWindows[string](limit.GrantChanges, limit.Rule{Value: 3}, limit.GrantChangesPeriod)
		for i := range 3 {
			if v := w.Take(time.Now(), "alice"); v.Hit() {
				t.Fatalf("%d: %+v", i, v)
			}
			time.Sleep(time.Second)
		}
		for range 5 {
			if v := w.Take(time.Now(), "alice"); !v.Refused() || v.RetryAfterSeconds() != 57 {
				t.Fatalf("%+v", v)
			}
		}
		if v := w.Take(time.Now(), "bob"); v.Hit() {
			t.Fatalf("another user: %+v", v)
		}
		want := limit.Usage{Name: limit.GrantChanges, Limit: 3, Used: 3}
		if u := w.Usage(time.Now(), "alice"); u != want {
			t.Fatalf("%+v, want %+v", u, want)
		}
		time.Sleep(57 * time.Second)
		if v := w.Take(time.Now(), "alice"); v.Hit() {
			t.Fatalf("after a minute: %+v", v)
		}
		if u := w.Usage(time.Now(), "carol"); u.Used != 0 || w.Len() != 2 {
			t.Fatalf("%+v, %d keys: asking enters nobody", u, w.Len())
		}
	})
}

func TestWindowsForgetTheLeastRecentKeyAboveTheBound(t *testing.T) {
	w := limit.NewWindows[int](limit.FailedLogins, limit.Rule{Value: 1}, time.Minute)
	now := time.Now()
	for i := range limit.MaxWindowKeys {
		w.Add(now, i)
	}
	w.Add(now, 0) // so that 1 is the least recent
	w.Add(now, -1)
	if w.Len() != limit.MaxWindowKeys {
		t.Fatalf("%d keys", w.Len())
	}
	for key, refused := range map[int]bool{0: true, 1: false, 2: true, -1: true} {
		if v := w.Check(now, key); v.Refused() != refused {
			t.Errorf("key %d: %+v", key, v)
		}
	}
}

func TestRateLetsASecondsWorthPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRate(limit.Upgrades, limit.Rule{Value: 4})
		for i := range 4 {
			if v := r.Take(time.Now()); v.Hit() {
				t.Fatalf("%d: %+v", i, v)
			}
		}
		want := limit.Verdict{Name: limit.Upgrades, Limit: 4, Used: 4, Wanted: 1, RetryAfter: 250 * time.Millisecond}
		if v := r.Take(time.Now()); v != want || v.RetryAfterSeconds() != 1 {
			t.Fatalf("got %+v, want %+v", v, want)
		}
		time.Sleep(250 * time.Millisecond)
		if v := r.Take(time.Now()); v.Hit() {
			t.Fatalf("after RetryAfter: %+v", v)
		}
		if v := r.Take(time.Now()); !v.Refused() {
			t.Fatalf("two for one: %+v", v)
		}
		time.Sleep(time.Hour)
		if u := r.Usage(time.Now()); u.Used != 0 || u.Left() != 4 {
			t.Fatalf("after an hour: %+v", u)
		}
		for i := range 5 {
			if v := r.Take(time.Now()); v.Refused() != (i == 4) {
				t.Fatalf("%d after an hour: %+v", i, v)
			}
		}
	})
}

func TestRateWithoutALimitAndWithNone(t *testing.T) {
	now := time.Now()
	if v := limit.NewRate(limit.Upgrades, limit.Rule{}).Take(now); !v.Refused() {
		t.Errorf("0: %+v", v)
	}
	r := limit.NewRate(limit.Upgrades, limit.Rule{Value: limit.Unlimited})
	for range 1000 {
		if v := r.Take(now); v.Hit() {
			t.Fatalf("unlimited: %+v", v)
		}
	}
	if left := r.Usage(now).Left(); left != limit.Unlimited {
		t.Errorf("%d are left", left)
	}
}

func TestCountersWindowsAndRateFromManyGoroutines(t *testing.T) {
	counters := limit.NewCounters[int](limit.ConnectionsPerAddress, limit.Rule{Value: 10})
	windows := limit.NewWindows[int](limit.FailedLogins, limit.Rule{Value: 10}, time.Minute)
	rate := limit.NewRate(limit.Upgrades, limit.Rule{Value: 100})
	now := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken, passed := 0, 0
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				ok, upgraded := !counters.Take(i%3).Refused(), !rate.Take(now).Refused()
				windows.Check(now, i)
				windows.Add(now, i)
				mu.Lock()
				if ok {
					taken++
				}
				if upgraded {
					passed++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if taken != 30 || passed != 100 || windows.Len() != 100 {
		t.Fatalf("%d taken, %d passed, %d keys", taken, passed, windows.Len())
	}
}

func TestOptionsHaveDefaultsAndRanges(t *testing.T) {
	d := limit.DefaultOptions()
	if err := d.Validate(); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	if err := (limit.Options{}).Validate(); err != nil {
		t.Fatalf("zero: %v", err)
	}
	got := map[limit.Name]int{
		limit.Categories: d.Categories.Value, limit.Subscriptions: d.Subscriptions.Value,
		limit.Operations: d.Operations.Value, limit.Frames: d.Frames.Value, limit.SubscriptionChanges: d.SubscriptionChanges.Value,
		limit.ConnectionsPerUser: d.ConnectionsPerUser.Value, limit.ConnectionsPerAddress: d.ConnectionsPerAddress.Value,
		limit.FailedLogins: d.FailedLogins.Value, limit.Upgrades: d.Upgrades.Value,
		limit.Handshakes: d.Handshakes.Value, limit.GrantChanges: d.GrantChanges.Value, limit.UpgradesPerAddress: d.UpgradesPerAddress.Value,
	}
	for _, s := range limit.Settings() {
		if got[s.Name] != s.Default || s.Default < s.Min || s.Default > s.Max {
			t.Errorf("%+v: the default is %d", s, got[s.Name])
		}
		if r := d.Rule(s.Name); r == nil || r.Value != s.Default {
			t.Errorf("%s: the rule by its name is %+v", s.Name, r)
		}
	}
	if r := d.Rule("nothing"); r != nil {
		t.Errorf("a limit that is none has the rule %+v", r)
	}
	o := limit.Options{SubscriptionChanges: limit.Rule{Value: -1}, FailedLogins: limit.Rule{Value: 1001, DryRun: true}}
	err := o.Validate()
	for _, want := range []string{
		"subscription_changes is -1: it must be between 1 and 10000",
		"failed_logins is 1001: it must be between 1 and 1000",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if o = o.WithDefaults(); !o.FailedLogins.DryRun || o.FailedLogins.Value != 1001 || o.Categories.Value != 10 {
		t.Errorf("what was set is changed: %+v", o)
	}
}
