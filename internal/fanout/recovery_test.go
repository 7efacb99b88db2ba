package fanout

import "testing"

func TestRecoveryRule(t *testing.T) {
	tests := []struct {
		name      string
		last      uint64 // 0: the subject is not known
		whole     bool
		seq, prev uint64
		want      action
	}{
		{"the first one when the stream could not be read", 0, false, 7, 3, deliver},
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
			p := positions{last: map[string]uint64{}, whole: tt.whole}
			if tt.last > 0 {
				p.last["status.c.engine"] = tt.last
			}
			if got := p.see("status.c.engine", tt.seq, tt.prev); got != tt.want {
				t.Fatalf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestPositionsNeverGoBack(t *testing.T) {
	p := positions{last: map[string]uint64{"a": 5}}
	p.advance("a", 3)
	if p.last["a"] != 5 {
		t.Fatalf("went back to %d", p.last["a"])
	}
}
