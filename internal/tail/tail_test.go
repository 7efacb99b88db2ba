package tail_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/statuswire/statuswire/internal/tail"
)

const (
	engine = "status.c1.engine"
	tool   = "status.c1.tool"
)

// plenty is room for whatever a test adds.
func plenty() tail.Limits {
	return tail.Limits{Bytes: 1 << 20, TopicBytes: 1 << 20, TopicStatuses: 1000}
}

func status(subject string, seq uint64) tail.Status {
	return tail.Status{Subject: subject, Sequence: seq, Header: []byte("a:b\n"), Data: fmt.Appendf(nil, "%06d", seq)}
}

// begun is the tail of a topic that has just begun.
func begun(s *tail.Store, base uint64, floors map[string]uint64) *tail.Tail {
	t := s.New("")
	t.Begin(base, floors)
	return t
}

func add(t *tail.Tail, subject string, seqs ...uint64) {
	for _, seq := range seqs {
		t.Add(status(subject, seq))
	}
}

// want fails unless just these come behind the place; nil: it is not covered.
func want(t *testing.T, of *tail.Tail, p tail.Place, seqs []uint64) {
	t.Helper()
	all, covered := of.After(p)
	got := []uint64{}
	for _, st := range all {
		got = append(got, st.Sequence)
		if string(st.Data) != fmt.Sprintf("%06d", st.Sequence) || string(st.Header) != "a:b\n" {
			t.Errorf("%d has %q and %q", st.Sequence, st.Header, st.Data)
		}
	}
	if covered != (seqs != nil) || !slices.Equal(got, seqs) {
		t.Errorf("behind %+v: %v, covered: %v; want %v", p, got, covered, seqs)
	}
}

func TestWhatHasPassedBehindThePlaceComesInTheOrderOfTheStream(t *testing.T) {
	l := begun(tail.NewStore(plenty()), 0, nil)
	add(l, engine, 3, 5)
	add(l, tool, 9)
	add(l, engine, 7) // was lost on its way
	want(t, l, tail.Place{}, []uint64{3, 5, 7, 9})
	want(t, l, tail.Place{After: 3}, []uint64{5, 7, 9})
	want(t, l, tail.Place{After: 3, Seen: map[string]uint64{engine: 5, tool: 9}}, []uint64{7})
	want(t, l, tail.Place{After: 9}, []uint64{})
}

func TestWhatTheTailDoesNotHaveIsNotCovered(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(*tail.Tail)
		place tail.Place
		want  []uint64
	}{
		{"stored before the topic began", func(l *tail.Tail) { l.Begin(0, map[string]uint64{engine: 4}); add(l, engine, 6) }, tail.Place{After: 3}, nil},
		{"all of that is known", func(l *tail.Tail) { l.Begin(0, map[string]uint64{engine: 4}); add(l, engine, 6) }, tail.Place{After: 4}, []uint64{6}},
		{"all of that is known of its subject", func(l *tail.Tail) { l.Begin(0, map[string]uint64{engine: 4}); add(l, engine, 6) }, tail.Place{Seen: map[string]uint64{engine: 4}}, []uint64{6}},
		{"dropped before the topic began", func(l *tail.Tail) { l.Begin(4, nil); add(l, engine, 6) }, tail.Place{After: 3, Seen: map[string]uint64{engine: 5}}, nil},
		{"behind what was dropped", func(l *tail.Tail) { l.Begin(4, nil); add(l, engine, 6) }, tail.Place{After: 4}, []uint64{6}},
		{"can no longer be had", func(l *tail.Tail) { l.Begin(0, nil); add(l, engine, 6); l.Skip(tool, 5) }, tail.Place{After: 4}, nil},
		{"known before it was gone", func(l *tail.Tail) { l.Begin(0, nil); add(l, engine, 6); l.Skip(tool, 5) }, tail.Place{After: 5}, []uint64{6}},
		{"skipped once more, and lower", func(l *tail.Tail) { l.Begin(0, nil); l.Skip(tool, 5); l.Skip(tool, 3) }, tail.Place{After: 4}, nil},
		{"forgotten", func(l *tail.Tail) { l.Begin(0, nil); add(l, engine, 6); l.Forget(8); add(l, engine, 9) }, tail.Place{After: 7, Seen: map[string]uint64{engine: 6}}, nil},
		{"behind what was forgotten", func(l *tail.Tail) { l.Begin(0, nil); add(l, engine, 6); l.Forget(8); add(l, engine, 9) }, tail.Place{After: 8}, []uint64{9}},
		{"forgotten once more, and lower", func(l *tail.Tail) { l.Begin(6, nil); l.Forget(4) }, tail.Place{After: 5}, nil},
		{"not begun", func(l *tail.Tail) { add(l, engine, 6); l.Skip(engine, 6) }, tail.Place{After: 6}, nil},
		{"closed", func(l *tail.Tail) { l.Begin(0, nil); add(l, engine, 6); l.Close(); add(l, engine, 7) }, tail.Place{After: 7}, nil},
		{"begun again", func(l *tail.Tail) {
			l.Begin(0, nil)
			add(l, engine, 6)
			l.Close()
			l.Begin(7, nil)
			add(l, engine, 8)
		}, tail.Place{After: 7}, []uint64{8}},
		{"from before it began again", func(l *tail.Tail) { l.Begin(0, nil); l.Begin(7, nil) }, tail.Place{After: 6}, nil},
		{"dropped by the stream since", func(l *tail.Tail) { l.Begin(0, nil); add(l, engine, 6, 8) }, tail.Place{After: 5, First: 7}, nil},
		{"known before the stream dropped it", func(l *tail.Tail) { l.Begin(0, nil); add(l, engine, 6, 8) }, tail.Place{After: 6, First: 8}, []uint64{8}},
		{"more than the stream keeps of a subject", func(l *tail.Tail) { l.Begin(0, nil); add(l, engine, 6, 8, 10); add(l, tool, 7) }, tail.Place{PerSubject: 2}, nil},
		{"as many as the stream keeps of a subject", func(l *tail.Tail) { l.Begin(0, nil); add(l, engine, 6, 8, 10); add(l, tool, 7) }, tail.Place{After: 6, PerSubject: 2}, []uint64{7, 8, 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := tail.NewStore(plenty()).New("")
			c.do(l)
			want(t, l, c.place, c.want)
		})
	}
}

func TestOfATopicWithOneSubjectThePositionOfThatCounts(t *testing.T) {
	l := tail.NewStore(plenty()).New(engine)
	l.Begin(10, nil)
	add(l, engine, 12, 14)
	want(t, l, tail.Place{After: 3, Seen: map[string]uint64{engine: 12}}, []uint64{14})
	want(t, l, tail.Place{After: 3, Seen: map[string]uint64{engine: 9}}, nil)
	want(t, l, tail.Place{After: 10}, []uint64{12, 14})
}

func TestATopicLetsGoOfItsOldestStatuses(t *testing.T) {
	size := sizeOf(status(engine, 10))
	for _, c := range []struct {
		name   string
		limits tail.Limits
	}{
		{"too many", tail.Limits{Bytes: 1 << 20, TopicBytes: 1 << 20, TopicStatuses: 2}},
		{"too large", tail.Limits{Bytes: 1 << 20, TopicBytes: 2 * size, TopicStatuses: 1000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := tail.NewStore(c.limits)
			l, other := begun(s, 0, nil), begun(s, 0, nil)
			add(l, engine, 10)
			add(other, engine, 11)
			add(l, engine, 12)
			want(t, l, tail.Place{}, []uint64{10, 12})
			add(l, engine, 14)
			want(t, l, tail.Place{After: 9}, nil)
			want(t, l, tail.Place{After: 10}, []uint64{12, 14})
			want(t, other, tail.Place{}, []uint64{11})
			if got := s.Stats(); got.Statuses != 3 || got.Bytes != 3*size || s.Over() {
				t.Errorf("%+v, over: %v", got, s.Over())
			}
		})
	}
}

// sizeOf is what a status counts.
func sizeOf(st tail.Status) int {
	s := tail.NewStore(plenty())
	begun(s, 0, nil).Add(st)
	return s.Stats().Bytes
}

func TestWhatIsTooLargeByItselfIsNotHeld(t *testing.T) {
	size := sizeOf(status(engine, 10))
	for _, limits := range []tail.Limits{
		{Bytes: size, TopicBytes: 10 * size, TopicStatuses: 10},
		{Bytes: 10 * size, TopicBytes: size, TopicStatuses: 10},
	} {
		s := tail.NewStore(limits)
		l := begun(s, 0, nil)
		add(l, engine, 10)
		large := status(tool, 11)
		large.Data = append(large.Data, 'x')
		l.Add(large)
		want(t, l, tail.Place{After: 10}, nil)
		want(t, l, tail.Place{After: 11}, []uint64{})
		if got := s.Stats(); got != (tail.Stats{}) {
			t.Errorf("%+v", got)
		}
		add(l, engine, 12)
		want(t, l, tail.Place{After: 11}, []uint64{12})
	}
}

func TestTheOldestOfAllGoesFirst(t *testing.T) {
	size := sizeOf(status(engine, 10))
	s := tail.NewStore(tail.Limits{Bytes: 3 * size, TopicBytes: 1 << 20, TopicStatuses: 1000})
	a, b := begun(s, 0, nil), begun(s, 0, nil)
	s.DropOldest() // of nothing
	add(a, engine, 10)
	add(b, engine, 11)
	add(a, engine, 12)
	if s.Over() {
		t.Error("three are too many")
	}
	add(b, engine, 13)
	if !s.Over() {
		t.Error("four are not too many")
	}
	s.DropOldest()
	if s.Over() {
		t.Error("three are too many")
	}
	want(t, a, tail.Place{}, nil)
	want(t, a, tail.Place{After: 10}, []uint64{12})
	want(t, b, tail.Place{}, []uint64{11, 13})
	a.Close()
	s.DropOldest()
	want(t, b, tail.Place{After: 11}, []uint64{13})
	add(b, engine, 15)
	want(t, b, tail.Place{After: 11}, []uint64{13, 15})
	b.Close()
	if got := s.Stats(); got != (tail.Stats{}) {
		t.Errorf("%+v are left", got)
	}
}
