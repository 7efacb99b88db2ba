package fanout

import (
	"maps"
	"testing"
)

func TestRecoveryRule(t *testing.T) {
	tests := []struct {
		name      string
		last      uint64 // 0: the subject is not known
		whole     bool
		seq, prev uint64
		want      action
	}{
		{"the first one of one of many conversations", 0, false, 7, 3, deliver},
		{"the first one of a subject that had nothing stored", 0, true, 7, 0, deliver},
		{"the second one of a subject that had nothing stored", 0, true, 7, 3, mend},
		{"the next one", 7, true, 9, 7, deliver},
		{"the next one after all before it expired", 7, true, 9, 0, deliver},
		{"the next one after the newest before it expired", 7, true, 9, 2, deliver},
		{"one is missing", 7, true, 11, 9, mend},
		{"the same one again", 7, true, 7, 3, drop},
		{"an older one", 7, true, 5, 3, drop},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPositions("status.c.*")
			p.whole = tt.whole
			if tt.last > 0 {
				p.settle("status.c.engine", tt.last)
			}
			if got := p.see("status.c.engine", tt.seq, tt.prev); got != tt.want {
				t.Fatalf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestPositionsNeverGoBack(t *testing.T) {
	p := newPositions("status.c.*")
	p.settle("a", 5)
	p.settle("a", 3)
	if p.passed("a") != 5 || p.of("a").handed.Load() != 5 {
		t.Fatalf("went back to %d", p.passed("a"))
	}
}

func TestAPlaceClaimsOnlyWhatWasHandedOver(t *testing.T) {
	for _, c := range []struct {
		name    string
		subject string
		do      func(p *positions)
		want    Place
	}{
		{"nothing yet", "status.c.*", func(*positions) {}, Place{}},
		{"what was stored before", "status.c.*", func(p *positions) { p.settle("a", 3); p.known(7) }, Place{After: 7}},
		{"what passes is not handed over", "status.c.*", func(p *positions) { p.known(7); p.pass("a", 9) }, Place{After: 7}},
		{"what was handed over", "status.c.*", func(p *positions) { p.known(7); p.pass("a", 9).hand(9); p.settle("b", 11) }, Place{After: 7, Seen: map[string]uint64{"a": 9, "b": 11}}},
		{"all is known up to later", "status.c.*", func(p *positions) { p.settle("a", 9); p.settle("b", 12); p.known(10) }, Place{After: 10, Seen: map[string]uint64{"b": 12}}},
		{"one subject is all there is", "a", func(p *positions) { p.known(7); p.pass("a", 9).hand(9) }, Place{After: 9}},
		{"one subject, stale", "a", func(p *positions) { p.known(12); p.settle("a", 9) }, Place{After: 12}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPositions(c.subject)
			if before := p.current(); before.After != 0 || before.Seen != nil {
				t.Fatalf("began with %v", before)
			}
			c.do(p)
			p.version.Add(1)
			if got := p.current(); got.After != c.want.After || !maps.Equal(got.Seen, c.want.Seen) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAPlaceIsSharedUntilSomethingIsHandedOver(t *testing.T) {
	p := newPositions("status.c.*")
	p.settle("a", 9)
	p.current()
	if n := testing.AllocsPerRun(100, func() { p.current() }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
