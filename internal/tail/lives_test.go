package tail_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/statuswire/statuswire/internal/tail"
)

// passing is a topic, and all that has ever been true of it.
type passing struct {
	tail    *tail.Tail
	literal bool
	open    bool
	passed  []tail.Status     // since it was last begun, held or not
	base    uint64            // of these nothing is to be had: up to base,
	gone    map[string]uint64 // of single subjects up to there
	at      map[string]uint64 // the newest of each subject
}

var subjects = []string{engine, tool, "status.c1.info"}

// runTails does what the program says with some tails that share a store, and sees that
// what a tail answers is all there is, and that the bounds hold.
func runTails(t *testing.T, program []byte) {
	size := sizeOf(status(engine, 10))
	limits := tail.Limits{Bytes: 12 * size, TopicBytes: 6 * size, TopicStatuses: 5}
	s := tail.NewStore(limits)
	var all []*passing
	for i := range 3 {
		p := &passing{literal: i == 0, at: map[string]uint64{}}
		p.tail = s.New([]string{engine, "", ""}[i])
		all = append(all, p)
	}
	var seq uint64 = 100
	for ; len(program) >= 3; program = program[3:] {
		p, arg := all[int(program[1])%len(all)], uint64(program[2])
		subject := subjects[int(arg)%len(subjects)]
		if p.literal {
			subject = engine
		}
		seq++
		switch op := program[0] % 16; {
		case op < 8: // one that was late has a sequence that another subject is beyond
			n := max(seq-arg%8, p.at[subject]+1)
			seq = max(seq, n)
			p.at[subject] = n
			st := status(subject, n)
			p.tail.Add(st)
			if p.open {
				p.passed = append(p.passed, st)
			}
		case op == 8:
			p.tail.Skip(subject, seq)
			p.at[subject] = seq
			if p.open {
				p.gone[subject] = seq
			}
		case op == 9:
			p.tail.Forget(seq)
			p.base = max(p.base, seq)
		case op == 10:
			p.tail.Close()
			p.open = false
		case op == 11:
			floors := map[string]uint64{subject: seq - arg%4}
			p.open, p.base, p.passed, p.gone = true, seq-arg%16, nil, map[string]uint64{subject: seq - arg%4}
			p.at[subject] = max(p.at[subject], seq-arg%4)
			p.tail.Begin(p.base, floors)
			for subject := range p.at { // what comes is behind where it began
				p.at[subject] = max(p.at[subject], p.base, p.gone[subject])
			}
			for _, subject := range subjects {
				p.at[subject] = max(p.at[subject], p.base)
			}
		case op == 12:
			s.DropOldest()
		default:
			place := tail.Place{After: seq - min(seq, arg%32), Seen: map[string]uint64{subject: seq - arg%8}}
			p.look(t, place)
		}
		for s.Over() {
			s.DropOldest()
		}
		if got := s.Stats(); got.Bytes > limits.Bytes || got.Bytes != got.Statuses*size {
			t.Fatalf("%+v is held of %+v", got, limits)
		}
	}
	for _, p := range all {
		p.look(t, tail.Place{After: seq - 10})
		p.tail.Close()
	}
	if got := s.Stats(); got != (tail.Stats{}) {
		t.Fatalf("%+v is left", got)
	}
}

// look sees that an answer is all there is behind the place.
func (p *passing) look(t *testing.T, place tail.Place) {
	got, covered := p.tail.After(place)
	if !covered {
		if len(got) > 0 {
			t.Fatal("statuses that are not all there is")
		}
		return
	}
	of := func(subject string) uint64 { return max(place.After, place.Seen[subject]) }
	if !p.open {
		t.Fatal("a closed tail answers")
	}
	if p.literal && of(engine) < p.base || !p.literal && place.After < p.base {
		t.Fatalf("behind %+v is covered, though nothing up to %d is to be had", place, p.base)
	}
	var want []uint64
	for _, st := range p.passed {
		if st.Sequence > of(st.Subject) {
			want = append(want, st.Sequence)
		}
	}
	for subject, gone := range p.gone {
		if of(subject) < gone {
			t.Fatalf("behind %+v is covered, though %d of %s is gone", place, gone, subject)
		}
	}
	slices.Sort(want)
	var have []uint64
	for _, st := range got {
		have = append(have, st.Sequence)
	}
	if !slices.Equal(have, want) {
		t.Fatalf("behind %+v came %v, want %v", place, have, want)
	}
}

func TestATailAnswersWithAllThereIsOrNotAtAll(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		program := make([]byte, 3*(10+random.IntN(300)))
		for i := range program {
			program[i] = byte(random.Uint32())
		}
		runTails(t, program)
	}
}

func FuzzATailAnswersWithAllThereIsOrNotAtAll(f *testing.F) {
	f.Add([]byte{11, 1, 0, 0, 1, 1, 0, 1, 2, 13, 1, 20})
	f.Fuzz(func(t *testing.T, program []byte) { runTails(t, program[:min(len(program), 2000)]) })
}
