package limit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
)

// TestRestoringCannotBeFarmedBy holds attacks that were thought of.
func TestRestoringCannotBeFarmedBy(t *testing.T) {
	s, other := set("c1", 5), set("c2", 5)
	tests := []struct {
		name string
		run  func(t *testing.T, c *limit.Changes)
	}{
		{"taking the same twice", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(s...)
			b.close()
			b = open(t, c, thirty)
			b.free(s...)
			open(t, c, thirty).counted(s...)
			b.counted(s...)
		}},
		{"swapping two sets by reconnecting", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(s...)
			for _, set := range [][]string{other, s, other, s, other} {
				b.close()
				b = open(t, c, thirty)
				b.counted(set...)
			}
			b.refused(s[0], time.Minute)
		}},
		{"swapping two sets with a second connection kept open", func(t *testing.T, c *limit.Changes) {
			second := open(t, c, thirty)
			b := open(t, c, thirty)
			b.counted(s...)
			b.close()
			second.counted(other...)
			second.close()
			b = open(t, c, thirty)
			b.counted(s...)
			b.used(15)
		}},
		{"swapping two sets behind a small one that is restored first", func(t *testing.T, c *limit.Changes) {
			b, small := open(t, c, thirty), open(t, c, thirty)
			b.counted(s...)
			small.counted("status.c3.a")
			b.close()
			small.close()
			small = open(t, c, thirty)
			small.free("status.c3.a")
			small.counted(other...)
			small.close()
			b = open(t, c, thirty)
			b.counted(s...)
		}},
		{"unsubscribing and subscribing again", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(s...)
			b.close()
			b = open(t, c, thirty)
			b.free(s...)
			b.meter.Unsub(time.Now())
			b.held = b.held[1:]
			b.close()
			b = open(t, c, thirty)
			b.free(s[1:]...)
			b.counted(s[0])
			b.used(7)
		}},
		{"closing a connection that holds nothing, again and again", func(t *testing.T, c *limit.Changes) {
			b := open(t, c, thirty)
			b.counted(s...)
			b.close()
			for range 10 {
				b.close()
				open(t, c, thirty).close()
			}
			b = open(t, c, thirty)
			b.free(s...)
			b.counted(s...)
		}},
		{"waiting for others' sets", func(t *testing.T, c *limit.Changes) {
			bob := &tab{t: t, meter: c.Open(time.Now(), "bob", thirty)}
			bob.counted(s...)
			bob.close()
			open(t, c, thirty).counted(s...)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tt.run(t, limit.NewChanges()) })
		})
	}
}

// TestRestoringCannotBeFarmed lets many random users do whatever they like.
func TestRestoringCannotBeFarmed(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		steps := make([]byte, 600)
		for i := range steps {
			steps[i] = byte(r.Uint32())
		}
		liveChanges(t, 1+uint8(seed%12), steps)
	}
}

// FuzzChanges holds what TestRestoringCannotBeFarmed does.
func FuzzChanges(f *testing.F) {
	f.Fuzz(func(t *testing.T, value uint8, steps []byte) {
		liveChanges(t, value%12+1, steps)
	})
}

// life is one user's history and what must hold in it.
type life struct {
	t       *testing.T
	changes *limit.Changes
	rule    limit.Rule
	now     time.Time
	tabs    [4]*tab

	counted []time.Time    // every change that was counted
	rights  map[string]int // counted SUBs less UNSUBs, by subject
	most    int            // held at once since nothing was left to restore
}

// liveChanges runs one user with four connections from two bytes a step.
func liveChanges(t *testing.T, value uint8, steps []byte) {
	t.Helper()
	l := &life{t: t, changes: limit.NewChanges(), rule: limit.Rule{Value: int(value)}, now: time.Now(), rights: map[string]int{}}
	watch := l.changes.Open(l.now, "alice", l.rule)
	for len(steps) >= 2 {
		op, arg := steps[0], steps[1]
		steps = steps[2:]
		i := int(arg & 3)
		subject := fmt.Sprintf("status.c.%c", 'a'+arg>>2&7)
		switch {
		case op < 128:
			l.sub(i, subject)
		case op < 160:
			l.unsub(i)
		case op < 224:
			l.reconnect(i)
		default:
			l.now = l.now.Add(time.Duration(arg) * time.Duration(op-223) * 20 * time.Millisecond)
		}
		l.holds(watch)
	}
	for i := range l.tabs {
		if l.tabs[i] != nil {
			l.reconnect(i)
		}
	}
	l.now = l.now.Add(limit.RestorePeriod)
	if n := watch.Restorable(l.now) + watch.Usage(l.now).Used; n != 0 {
		t.Fatalf("%d are counted or restorable at the end", n)
	}
	watch.Close(l.now, nil)
	if l.changes.Prune(l.now.Add(limit.RestorePeriod)); l.changes.Users() != 0 {
		t.Fatal("the user is remembered at the end")
	}
}

func (l *life) recent() int {
	n := 0
	for _, at := range l.counted {
		if l.now.Sub(at) < limit.ChangesPeriod {
			n++
		}
	}
	return n
}

func (l *life) sub(i int, subject string) {
	if l.tabs[i] == nil {
		l.tabs[i] = &tab{meter: l.changes.Open(l.now, "alice", l.rule)}
	}
	b, before := l.tabs[i], l.recent()
	v := b.meter.Sub(l.now, subject)
	switch {
	case v.Refused():
		if before < l.rule.Value {
			l.t.Fatalf("refused with %d of %d: %+v", before, l.rule.Value, v)
		}
		if v.RetryAfter <= 0 || v.RetryAfter > limit.ChangesPeriod {
			l.t.Fatalf("retry after %v", v.RetryAfter)
		}
		was := l.now
		l.now = was.Add(v.RetryAfter - 1)
		early := l.recent()
		l.now = was.Add(v.RetryAfter)
		if late := l.recent(); early < l.rule.Value || late >= l.rule.Value {
			l.t.Fatalf("retry after %v is wrong: %d count just before, %d then", v.RetryAfter, early, late)
		}
		l.now = was
		return
	case !v.Free:
		if before >= l.rule.Value {
			l.t.Fatalf("let pass with %d of %d", before, l.rule.Value)
		}
		l.counted = append(l.counted, l.now)
		l.rights[subject]++
	}
	b.held = append(b.held, subject)
}

// unsub always passes: there is nothing that could refuse it.
func (l *life) unsub(i int) {
	if b := l.tabs[i]; b != nil && len(b.held) > 0 {
		b.meter.Unsub(l.now)
		l.counted = append(l.counted, l.now)
		l.rights[b.held[0]]--
		b.held = slices.Delete(b.held, 0, 1)
	}
}

func (l *life) reconnect(i int) {
	if b := l.tabs[i]; b != nil {
		b.meter.Close(l.now, b.held)
		l.tabs[i] = nil
	}
}

// holds checks the argument in restore.go.
func (l *life) holds(watch *limit.ChangeMeter) {
	held, bySubject := 0, map[string]int{}
	for _, b := range l.tabs {
		if b == nil {
			continue
		}
		held += len(b.held)
		for _, s := range b.held {
			bySubject[s]++
		}
	}
	for s, n := range bySubject {
		if n > l.rights[s] {
			l.t.Fatalf("%s is held %d times, but was counted %d times", s, n, l.rights[s])
		}
	}
	free := watch.Restorable(l.now)
	if free == 0 {
		l.most = held
	}
	l.most = max(l.most, held)
	if held+free > l.most {
		l.t.Fatalf("%d are held and %d may be restored, but never were more than %d held at once", held, free, l.most)
	}
	if used := watch.Usage(l.now).Used; used != min(l.recent(), l.rule.Value) {
		l.t.Fatalf("%d are counted, want %d", used, l.recent())
	}
}
