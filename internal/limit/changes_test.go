package limit_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
)

// tab is a browser's connection as the gateway keeps it: with what it holds.
type tab struct {
	t     *testing.T
	meter *limit.ChangeMeter
	held  []string
}

func open(t *testing.T, c *limit.Changes, rule limit.Rule) *tab {
	return &tab{t: t, meter: c.Open(time.Now(), "alice", rule)}
}

func (b *tab) sub(subject string) limit.Verdict {
	v := b.meter.Sub(time.Now(), subject)
	if !v.Refused() {
		b.held = append(b.held, subject)
	}
	return v
}

// counted subscribes, and each must be counted.
func (b *tab) counted(subjects ...string) {
	b.t.Helper()
	for _, s := range subjects {
		if v := b.sub(s); v.Hit() || v.Free {
			b.t.Fatalf("SUB %s: %+v, want it let pass and counted", s, v)
		}
	}
}

// free subscribes, and none must be counted.
func (b *tab) free(subjects ...string) {
	b.t.Helper()
	for _, s := range subjects {
		if v := b.sub(s); !v.Free {
			b.t.Fatalf("SUB %s: %+v, want it free", s, v)
		}
	}
}

func (b *tab) refused(subject string, retryAfter time.Duration) {
	b.t.Helper()
	v := b.sub(subject)
	if !v.Refused() || v.Name != limit.SubscriptionChanges || v.RetryAfter != retryAfter {
		b.t.Fatalf("SUB %s: %+v, want it refused for %v", subject, v, retryAfter)
	}
}

func (b *tab) used(want int) {
	b.t.Helper()
	if got := b.meter.Usage(time.Now()).Used; got != want {
		b.t.Fatalf("%d changes are counted, want %d", got, want)
	}
}

func (b *tab) close() { b.meter.Close(time.Now(), b.held) }

// set is n subjects of a conversation.
func set(conversation string, n int) []string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprintf("status.%s.cat%d", conversation, i))
	}
	return s
}

var thirty = limit.Rule{Value: 30}

func TestThirtyChangesAMinute(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T, c *limit.Changes)
	}{
		{"thirty pass, the next waits until the first is a minute old", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(set("c1", 30)...)
			b.refused("status.c1.more", time.Minute)
			time.Sleep(time.Minute - 1)
			b.refused("status.c1.more", 1)
			time.Sleep(time.Nanosecond)
			b.counted(set("c2", 30)...)
			b.refused("status.c1.more", time.Minute)
		}},
		{"the window slides: each change makes room a minute after it was made", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			for _, s := range set("c1", 30) {
				b.counted(s)
				time.Sleep(time.Second)
			}
			b.refused("status.c2.a", 30*time.Second)
			time.Sleep(30 * time.Second)
			b.counted("status.c2.a")
			b.refused("status.c2.b", time.Second)
			time.Sleep(time.Second)
			b.counted("status.c2.b")
		}},
		{"no two halves of neighbouring minutes add up to more", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			time.Sleep(59 * time.Second)
			b.counted(set("c1", 30)...)
			time.Sleep(2 * time.Second)
			b.refused("status.c1.more", 58*time.Second)
		}},
		{"UNSUB counts and always passes", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			for range 15 {
				b.counted("status.c1.a")
				b.meter.Unsub(time.Now())
			}
			b.refused("status.c1.a", time.Minute)
			time.Sleep(30 * time.Second)
			for range 100 {
				b.meter.Unsub(time.Now())
			}
			b.used(30)
			time.Sleep(30 * time.Second)
			b.refused("status.c1.a", 30*time.Second)
		}},
		{"what was refused does not count", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(set("c1", 30)...)
			for i := range 59 {
				time.Sleep(time.Second)
				b.refused("status.c1.more", time.Duration(59-i)*time.Second)
			}
			time.Sleep(time.Second)
			b.used(0)
			b.counted("status.c1.more")
		}},
		{"several connections of a user count together", func(t *testing.T, c *limit.Changes) {
			one, two, three := open(t, c, thirty), open(t, c, thirty), open(t, c, thirty)
			one.counted(set("c1", 10)...)
			two.counted(set("c1", 10)...)
			time.Sleep(10 * time.Second)
			three.counted(set("c1", 10)...)
			one.refused("status.c2.a", 50*time.Second)
			three.refused("status.c2.a", 50*time.Second)
			two.meter.Unsub(time.Now())
			three.refused("status.c2.a", 50*time.Second)
		}},
		{"another user is not touched", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(set("c1", 30)...)
			bob := &tab{t: t, meter: c.Open(time.Now(), "bob", thirty)}
			bob.counted(set("c1", 30)...)
		}},
		{"reconnecting does not forget what was counted", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(set("c1", 20)...)
			b.close()
			b = open(t, c, thirty)
			b.used(20)
			b.counted(set("c2", 10)...)
			b.refused("status.c2.more", time.Minute)
		}},
		{"a reconnect with the same set is free, as often as it happens", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(set("c1", 10)...)
			for range 100 {
				b.close()
				time.Sleep(100 * time.Millisecond)
				b = open(t, c, thirty)
				b.free(set("c1", 10)...)
				b.used(10)
			}
		}},
		{"a reconnect with the same set is free at the limit", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(set("c1", 30)...)
			b.close()
			b = open(t, c, thirty)
			b.free(set("c1", 30)...)
			b.refused("status.c1.more", time.Minute)
		}},
		{"the order of the same set does not matter, nor who of the user's connections restores it", func(t *testing.T, c *limit.Changes) {
			one, two := open(t, c, thirty), open(t, c, thirty)
			one.counted(set("c1", 5)...)
			two.counted(set("c2", 5)...)
			one.close()
			two.close()
			one, two = open(t, c, thirty), open(t, c, thirty)
			s1, s2 := set("c1", 5), set("c2", 5)
			for i := range 5 {
				one.free(s2[4-i])
				two.free(s1[4-i])
			}
			one.used(10)
		}},
		{"a reconnect with another set counts", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(set("c1", 10)...)
			b.close()
			b = open(t, c, thirty)
			b.counted(set("c2", 10)...)
			b.used(20)
		}},
		{"a reconnect with part of the set and something else: the part is free, the rest counts", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(set("c1", 10)...)
			b.close()
			b = open(t, c, thirty)
			b.free(set("c1", 6)...)
			b.counted(set("c2", 4)...)
			b.used(14)
			b.counted("status.c1.cat9") // c2 has taken its place
		}},
		{"restoring is free up to two minutes, and not then", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted("status.c1.a", "status.c1.b")
			b.close()
			time.Sleep(limit.RestorePeriod - 1)
			b = open(t, c, thirty)
			b.free("status.c1.a")
			time.Sleep(time.Nanosecond)
			b.counted("status.c1.b")
		}},
		{"a connection with a higher limit of its own is held to that one", func(t *testing.T, c *limit.Changes) {
			b, more := open(t, c, thirty), open(t, c, limit.Rule{Value: 50})
			b.counted(set("c1", 30)...)
			more.counted(set("c2", 20)...)
			more.refused("status.c2.more", time.Minute)
			b.meter.SetRule(limit.Rule{Value: 60})
			b.counted("status.c1.more")
			b.meter.SetRule(limit.Rule{Value: limit.Unlimited})
			b.counted(set("c3", 100)...)
		}},
		{"a connection with a lower limit waits until fewer than that count", func(t *testing.T, c *limit.Changes) {
			b, less := open(t, c, thirty), open(t, c, limit.Rule{Value: 10})
			for _, s := range set("c1", 20) {
				b.counted(s)
				time.Sleep(time.Second)
			}
			less.refused("status.c2.a", 50*time.Second) // when the tenth newest is a minute old
			time.Sleep(50 * time.Second)
			less.counted("status.c2.a")
		}},
		{"the set that ended first gives way to what is new", func(t *testing.T, c *limit.Changes) {
			one, two := open(t, c, thirty), open(t, c, thirty)
			one.counted("status.c1.a")
			two.counted("status.c2.a")
			one.close()
			two.close()
			b := open(t, c, thirty)
			b.counted("status.c3.a")
			b.free("status.c2.a")
			b.counted("status.c1.a")
		}},
		{"a user who is here is not forgotten, however long", func(t *testing.T, c *limit.Changes) {
			open(t, c, thirty).close()
			b := open(t, c, thirty)
			time.Sleep(10 * limit.RestorePeriod)
			b.counted(set("c1", 30)...)
			open(t, c, thirty).refused("status.c2.a", time.Minute)
		}},
		{"in dry-run it counts and lets pass", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, limit.Rule{Value: 2, DryRun: true})
			b.counted("status.c1.a", "status.c1.b")
			time.Sleep(time.Second)
			want := limit.Verdict{
				Name: limit.SubscriptionChanges, Limit: 2, Used: 2, Wanted: 1,
				RetryAfter: 59 * time.Second, Dry: true,
			}
			if v := b.sub("status.c1.c"); v != want || v.Refused() {
				t.Fatalf("got %+v, want %+v", v, want)
			}
		}},
		{"a limit of 0 refuses every SUB but not one that restores", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted("status.c1.a")
			b.close()
			b = open(t, c, limit.Rule{})
			b.free("status.c1.a")
			b.refused("status.c1.b", 0)
		}},
		{"with everything gone nothing is left", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(set("c1", 10)...)
			b.close()
			b.close()
			time.Sleep(limit.RestorePeriod - 1)
			if c.Prune(time.Now()); c.Users() != 1 {
				t.Fatalf("%d users before the end of RestorePeriod", c.Users())
			}
			time.Sleep(time.Nanosecond)
			if c.Prune(time.Now()); c.Users() != 0 {
				t.Fatalf("%d users after it", c.Users())
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tt.run(t, limit.NewChanges()) })
		})
	}
}

func TestChangesForgetTheFirstIdleUserAboveTheBound(t *testing.T) {
	c := limit.NewChanges()
	now := time.Now()
	for i := range limit.MaxIdleUsers + 10 {
		m := c.Open(now, fmt.Sprint(i), thirty)
		m.Sub(now, "status.c1.a")
		m.Close(now, []string{"status.c1.a"})
	}
	if got := c.Users(); got != limit.MaxIdleUsers {
		t.Fatalf("%d users, want %d", got, limit.MaxIdleUsers)
	}
	if u := c.Open(now, "0", thirty).Usage(now); u.Used != 0 {
		t.Errorf("the first is remembered: %+v", u)
	}
	if u := c.Open(now, fmt.Sprint(limit.MaxIdleUsers+9), thirty).Usage(now); u.Used != 1 {
		t.Errorf("the last is forgotten: %+v", u)
	}
}

func TestChangesRememberABoundedNumber(t *testing.T) {
	c := limit.NewChanges()
	now := time.Now()
	watch := c.Open(now, "alice", thirty)
	for i := range 5 {
		c.Open(now, "alice", thirty).Close(now, set(fmt.Sprint("c", i), 300))
	}
	if got := watch.Restorable(now); got != 900 {
		t.Fatalf("%d can be restored, want the newest 3 sets", got)
	}
	if v := watch.Sub(now, "status.c0.cat0"); v.Free {
		t.Fatal("the oldest set is remembered")
	}
	c.Open(now, "alice", thirty).Close(now, set("c9", 5*limit.MaxRemembered))
	if got := watch.Restorable(now); got != limit.MaxRemembered {
		t.Fatalf("%d can be restored, want %d", got, limit.MaxRemembered)
	}
}

func TestChangesOfManyConnectionsAtOnce(t *testing.T) {
	c := limit.NewChanges()
	now := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				m := c.Open(now, "alice", thirty)
				if v := m.Sub(now, fmt.Sprintf("status.c%d.cat%d", i, j)); !v.Refused() {
					mu.Lock()
					passed++
					mu.Unlock()
				}
				m.Usage(now)
				m.Close(now, nil)
			}
		})
	}
	wg.Wait()
	if passed != thirty.Value {
		t.Fatalf("%d passed", passed)
	}
	if c.Prune(now.Add(limit.RestorePeriod)); c.Users() != 0 {
		t.Fatalf("%d users are left", c.Users())
	}
}

func TestSeveralAtOnceAreCountedAllOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limit.NewChanges()
		b := open(t, c, thirty)
		b.counted(set("c1", 13)...)
		time.Sleep(20 * time.Second)
		b.counted(set("c2", 13)...)
		v := b.meter.Sub(time.Now(), set("c3", 5)...)
		if !v.Refused() || v.Wanted != 5 || v.RetryAfter != 40*time.Second {
			t.Fatalf("five more of thirty, with 26: %+v", v)
		}
		b.used(26)
		if v := b.meter.Sub(time.Now(), set("c3", 4)...); v.Hit() || v.Free {
			t.Fatalf("four more: %+v", v)
		}
		b.used(30)
		time.Sleep(40 * time.Second)
		b.used(17)
		if v := b.meter.Sub(time.Now(), set("c3", 31)...); !v.Refused() || v.RetryAfter != 0 {
			t.Fatalf("more than there may ever be: %+v, want it refused without a time", v)
		}
	})
}

func TestSeveralAtOnceRestoreWhatWasHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limit.NewChanges()
		b := open(t, c, limit.Rule{Value: 4})
		b.counted(set("c1", 3)...)
		b.close()
		b = open(t, c, limit.Rule{Value: 4})
		two := append(set("c1", 3), "status.c2.a", "status.c2.b")
		if v := b.meter.Sub(time.Now(), two...); !v.Refused() || v.Wanted != 2 {
			t.Fatalf("three to restore and two more, with room for one: %+v", v)
		}
		if v := b.meter.Sub(time.Now(), set("c1", 3)...); !v.Free {
			t.Fatalf("what was refused has used up the right to restore: %+v", v)
		}
		b.used(3)
		if v := b.meter.Sub(time.Now(), set("c1", 3)...); !v.Refused() {
			t.Fatalf("restored twice: %+v", v)
		}
	})
}
