package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/status"
)

// What a receiver may rely on, whatever happens: of each subject it gets everything
// after its place, in order and once; but for what retention has taken, which it is
// told of. And what its place claims it has had.
//
// Here the stream is a list, and what is republished comes when the test says so, or
// never; the fan-out and all its goroutines are real.

var (
	livesSubjects = []string{"status.c1.engine", "status.c1.tool", "status.c1.info"}
	livesPatterns = []string{"status.c1.engine", "status.c1.*"}
)

// livesMemory is what is remembered: nothing, one status, a few, or all; with topics
// that are kept and without. 300 bytes are one status.
var livesMemory = []struct {
	keep            time.Duration
	bytes, statuses int
}{
	{0, -1, 0}, {never, -1, 0},
	{0, 1 << 20, 0}, {never, 1 << 20, 0},
	{never, 1 << 20, 1}, {never, 1 << 20, 5}, {never, 300, 0}, {never, 1000, 0}, {0, 1000, 3},
}

// memory is a stream, and one that it is hard to read from.
type memory struct {
	mu        sync.Mutex
	all       []fanout.Stored // the sequence is the index and one
	first     uint64          // the first one that is left
	failing   int             // reads that fail, from now on
	lagging   int             // reads that a replica answers that lacks some
	lag       int             // how many it lacks
	meanwhile string          // stored behind the next reading of positions, and lost
}

var errAway = errors.New("the stream is away")

// store returns the status as it is republished.
func (s *memory) store(subject string) *nats.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.storeLocked(subject)
}

func (s *memory) storeLocked(subject string) *nats.Msg {
	seq := uint64(len(s.all) + 1)
	var prev uint64
	for _, st := range s.all {
		if st.Subject == subject && st.Sequence >= s.first {
			prev = st.Sequence
		}
	}
	s.all = append(s.all, fanout.Stored{Subject: subject, Sequence: seq, Data: []byte(strconv.FormatUint(seq, 10))})
	m := nats.NewMsg(subject)
	m.Data = s.all[seq-1].Data
	m.Header["Nats-Sequence"] = []string{strconv.FormatUint(seq, 10)}
	m.Header["Nats-Last-Sequence"] = []string{strconv.FormatUint(prev, 10)}
	return m
}

func (s *memory) last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.all))
}

// visible is what a read finds; mu is held.
func (s *memory) visible() ([]fanout.Stored, error) {
	switch {
	case s.failing > 0:
		s.failing--
		return nil, errAway
	case s.lagging > 0:
		s.lagging--
		return s.all[:max(0, len(s.all)-s.lag)], nil
	}
	return s.all, nil
}

func (s *memory) State(context.Context) (fanout.StreamState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fanout.StreamState{First: s.first, Last: uint64(len(s.all))}, nil
}

func (s *memory) Range(_ context.Context, from uint64) ([]fanout.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.visible()
	from = max(from, s.first)
	return slices.Clone(all[min(from-1, uint64(len(all))):]), err
}

func (s *memory) LastSequences(_ context.Context, subjects ...string) (map[string]uint64, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.visible()
	last := map[string]uint64{}
	for _, st := range all {
		if st.Sequence >= s.first && slices.ContainsFunc(subjects, func(p string) bool { return natsproto.Matches(p, st.Subject) }) {
			last[st.Subject] = st.Sequence
		}
	}
	if s.meanwhile != "" {
		s.storeLocked(s.meanwhile)
		s.meanwhile = ""
	}
	return last, uint64(len(all)), err
}

func (s *memory) Replay(subject string, place fanout.Place) fanout.Replay {
	seen := map[string]uint64{}
	for k, v := range place.Seen {
		seen[k] = v
	}
	return &memoryReplay{s, subject, place.After, seen, place.After, 0}
}

func (s *memory) Mend(subject string, place fanout.Place) fanout.Replay {
	return s.Replay(subject, place)
}

type memoryReplay struct {
	*memory
	subject string
	after   uint64
	seen    map[string]uint64
	reached uint64
	tail    uint64 // 0: to be found
}

func (r *memoryReplay) Next(context.Context) (fanout.Piece, error) {
	const most = 4
	s := r.memory
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.visible()
	if err != nil {
		return fanout.Piece{}, err
	}
	highest := max(r.after, r.reached)
	lowest := highest
	for _, subject := range livesSubjects {
		if natsproto.Matches(r.subject, subject) {
			highest = max(highest, r.seen[subject])
			lowest = min(lowest, max(r.reached, r.seen[subject]))
		}
	}
	if highest > uint64(len(all)) {
		return fanout.Piece{}, fanout.ErrAheadOfStream
	}
	var p fanout.Piece
	if lowest+1 < s.first {
		p.Truncated = s.first
		r.reached = max(r.reached, s.first-1)
	}
	if r.tail == 0 {
		r.tail = uint64(len(all))
	}
	for r.reached < min(r.tail, uint64(len(all))) && len(p.Statuses) < most {
		st := all[r.reached]
		r.reached++
		if natsproto.Matches(r.subject, st.Subject) && st.Sequence > max(r.after, r.seen[st.Subject]) {
			p.Statuses = append(p.Statuses, st)
		}
	}
	p.UpTo = r.reached
	if p.Done = r.reached >= r.tail; p.Done {
		r.tail = 0
	}
	return p, nil
}

// witness is a receiver and what it must have had.
type witness struct {
	pattern string
	sub     *fanout.Subscription
	begin   fanout.Place // everything after it must come
	exactly bool         // and nothing else

	mu     sync.Mutex
	got    []receipt
	ended  []string
	gate   chan struct{} // closed when it is ready
	closed bool          // the gate
}

type receipt struct {
	subject   string
	seq       uint64
	truncated uint64
}

func newWitness(pattern string, begin fanout.Place) *witness {
	return &witness{pattern: pattern, begin: begin, gate: make(chan struct{}), closed: true}
}

func (w *witness) Deliver(m *fanout.Message, _ *fanout.Subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := m.Header.Get("Nats-Sequence"); got != strconv.FormatUint(m.Sequence, 10) || string(m.Data) != got {
		panic(fmt.Sprintf("message %d says %q and has %q", m.Sequence, got, m.Data))
	}
	truncated, _ := strconv.ParseUint(m.Header.Get(status.HeaderTruncated), 10, 64)
	w.got = append(w.got, receipt{m.Subject, m.Sequence, truncated})
}

func (w *witness) Ended(_ *fanout.Subscription, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, reason)
}

func (w *witness) Ready(ctx context.Context) error {
	w.mu.Lock()
	gate := w.gate
	w.mu.Unlock()
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *witness) HasRoom() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.closed
}

// turn opens or closes the gate.
func (w *witness) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		close(w.gate)
	} else {
		w.gate = make(chan struct{})
	}
	w.closed = !w.closed
}

func (w *witness) received() []receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

// has is true when the witness has had the sequence.
func (w *witness) has(seq uint64) bool {
	return slices.ContainsFunc(w.received(), func(r receipt) bool { return r.seq == seq })
}

func after(p fanout.Place, subject string) uint64 { return max(p.After, p.Seen[subject]) }

// lives is one run of a program.
type lives struct {
	t      *testing.T
	stream *memory
	fanout *fanout.Fanout
	here   []*witness
	gone   []*witness
	wire   map[string][]onWire // by pattern
	log    []string
}

// onWire is what was republished for a topic and has not come yet.
type onWire struct {
	topic *fanout.Topic
	msg   *nats.Msg
}

func runLives(t *testing.T, nc *nats.Conn, program []byte) {
	l := &lives{t: t, stream: &memory{first: 1}, wire: map[string][]onWire{}}
	opts := fanout.Options{
		Shards: 1, MaxHeld: 6, MaxWaiting: 6, RepairAttempts: 200, RetryWait: 20 * time.Microsecond, CheckEvery: never,
	}
	if len(program) > 0 {
		memory := livesMemory[int(program[0])%len(livesMemory)]
		opts.Keep, opts.TailBytes, opts.MaxTail = memory.keep, memory.bytes, memory.statuses
		l.note("%+v", memory)
		program = program[1:]
	}
	l.fanout = fanout.New(nc, l.stream, opts)
	if err := l.fanout.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.fanout.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, line := range l.log {
				t.Log(line)
			}
		}
	}()
	for len(program) >= 2 && !t.Failed() {
		l.step(program[0], program[1])
		program = program[2:]
	}
	l.end()
}

func (l *lives) note(format string, args ...any) { l.log = append(l.log, fmt.Sprintf(format, args...)) }

// step does what op says, with an argument.
func (l *lives) step(op, arg byte) {
	pattern := livesPatterns[int(arg)%len(livesPatterns)]
	switch op % 16 {
	case 0, 1, 2, 3:
		l.publish(livesSubjects[int(arg)%len(livesSubjects)])
	case 4, 5, 6:
		l.arrive(pattern, 1+int(arg)/64)
	case 7:
		l.lose(pattern)
	case 8:
		l.subscribe(pattern)
	case 9:
		l.comeBack(pattern, arg)
	case 10:
		l.resume(arg)
	case 11:
		l.pick(arg, func(w *witness) { w.turn(); l.note("gate of %s closed: %v", w.pattern, w.closed) })
	case 12:
		l.retain(arg)
	case 13:
		l.trouble(arg)
	case 14:
		l.fanout.CheckAll()
		l.note("check")
	case 15:
		l.pick(arg, l.examine)
		time.Sleep(time.Duration(arg) * time.Microsecond) // let others have a turn
	}
}

func (l *lives) publish(subject string) {
	m := l.stream.store(subject)
	l.note("store %s %s", m.Header.Get("Nats-Sequence"), subject)
	for _, pattern := range livesPatterns {
		if t := l.fanout.Topic(pattern); t != nil && natsproto.Matches(pattern, subject) {
			l.wire[pattern] = append(l.wire[pattern], onWire{t, m})
		}
	}
}

// arrive lets the next messages on the wire come.
func (l *lives) arrive(pattern string, n int) {
	var ms []*nats.Msg
	now := l.fanout.Topic(pattern)
	for range n {
		if len(l.wire[pattern]) == 0 {
			break
		}
		next := l.wire[pattern][0]
		l.wire[pattern] = l.wire[pattern][1:]
		if next.topic == now {
			ms = append(ms, next.msg)
		}
	}
	if len(ms) > 0 {
		l.note("arrive %s: %d from %s", pattern, len(ms), ms[0].Header.Get("Nats-Sequence"))
		now.Pass(ms...)
	}
}

func (l *lives) lose(pattern string) {
	if q := l.wire[pattern]; len(q) > 0 {
		l.note("lose %s: %s", pattern, q[0].msg.Header.Get("Nats-Sequence"))
		l.wire[pattern] = q[1:]
	}
}

func (l *lives) enter(w *witness, s *fanout.Subscription, err error) {
	if err != nil {
		l.t.Fatal(err)
	}
	w.sub = s
	l.here = append(l.here, w)
}

// subscribe adds one who wants what comes from now on.
func (l *lives) subscribe(pattern string) {
	w := newWitness(pattern, fanout.Place{})
	s, err := l.fanout.Subscribe(l.t.Context(), pattern, "", "1", w)
	w.begin.After = l.stream.last()
	l.note("subscribe %s after %d", pattern, w.begin.After)
	l.enter(w, s, err)
}

// comeBack adds one who was there before.
func (l *lives) comeBack(pattern string, arg byte) {
	last := l.stream.last()
	p := fanout.Place{After: last * uint64(arg) / 255}
	for _, subject := range livesSubjects {
		if natsproto.Matches(pattern, subject) && arg%3 == 0 {
			if seq := l.newest(subject, p.After+uint64(arg)%8); seq > p.After {
				if p.Seen == nil {
					p.Seen = map[string]uint64{}
				}
				p.Seen[subject] = seq
			}
		}
	}
	if arg%5 == 0 { // something is stored while the topic opens
		l.stream.mu.Lock()
		l.stream.meanwhile = livesSubjects[int(arg)%len(livesSubjects)]
		l.stream.mu.Unlock()
	}
	l.after(pattern, p)
}

func (l *lives) after(pattern string, p fanout.Place) {
	w := newWitness(pattern, p)
	w.exactly = true
	s, err := l.fanout.SubscribeAfter(l.t.Context(), pattern, "1", w, p)
	l.note("come back to %s after %v", pattern, p)
	l.enter(w, s, err)
}

// newest is the newest sequence of the subject up to upTo.
func (l *lives) newest(subject string, upTo uint64) (newest uint64) {
	l.stream.mu.Lock()
	defer l.stream.mu.Unlock()
	for _, st := range l.stream.all {
		if st.Subject == subject && st.Sequence <= upTo {
			newest = st.Sequence
		}
	}
	return newest
}

// resume cuts one off, who comes back to where it was.
func (l *lives) resume(arg byte) {
	l.pick(arg, func(w *witness) {
		p, ok := l.fanout.Place(w.sub)
		l.examine(w)
		l.fanout.Unsubscribe(w.sub)
		l.here = slices.DeleteFunc(l.here, func(other *witness) bool { return other == w })
		l.gone = append(l.gone, w)
		l.note("cut %s at %v", w.pattern, p)
		if ok && arg%2 == 0 {
			l.after(w.pattern, p)
		}
	})
}

func (l *lives) pick(arg byte, do func(*witness)) {
	if len(l.here) > 0 {
		do(l.here[int(arg)%len(l.here)])
	}
}

// retain drops the oldest statuses, but none that those who are connected may not have
// had yet: what is kept is kept for longer than it takes to find what was lost.
func (l *lives) retain(arg byte) {
	first := l.stream.last() - min(l.stream.last(), uint64(arg)%16)
	for _, pattern := range livesPatterns {
		if t := l.fanout.Topic(pattern); t != nil {
			first = min(first, t.After()+1)
		}
	}
	l.stream.mu.Lock()
	defer l.stream.mu.Unlock()
	l.stream.first = max(l.stream.first, first)
	l.note("retained from %d", l.stream.first)
}

func (l *lives) trouble(arg byte) {
	l.stream.mu.Lock()
	defer l.stream.mu.Unlock()
	if arg%2 == 0 {
		l.stream.failing = int(arg) / 32
	} else {
		l.stream.lagging, l.stream.lag = int(arg)/32, int(arg)%8
	}
	l.note("%d reads fail, %d lag by %d", l.stream.failing, l.stream.lagging, l.stream.lag)
}

// examine sees that the witness has had what its place claims.
func (l *lives) examine(w *witness) {
	p, ok := l.fanout.Place(w.sub)
	if !ok {
		return
	}
	for _, m := range l.missing(w, func(st fanout.Stored) bool { return st.Sequence <= after(p, st.Subject) }) {
		l.t.Errorf("the place %v of one who began at %v claims %d, which it has not had; it got %v", p, w.begin, m.Sequence, w.received())
	}
}

// missing is what the witness should have had, of what is claimed, and was neither
// told that it is gone.
func (l *lives) missing(w *witness, claimed func(fanout.Stored) bool) []fanout.Stored {
	got := w.received()
	had := map[uint64]bool{}
	var told uint64
	for _, r := range got {
		had[r.seq] = true
		told = max(told, r.truncated)
	}
	l.stream.mu.Lock()
	defer l.stream.mu.Unlock()
	var missing []fanout.Stored
	for _, st := range l.stream.all {
		gone := st.Sequence < l.stream.first && st.Sequence < told
		if natsproto.Matches(w.pattern, st.Subject) && st.Sequence > after(w.begin, st.Subject) && claimed(st) && !had[st.Sequence] && !gone {
			missing = append(missing, st)
		}
	}
	return missing
}

// end lets everything come right, and looks at everybody.
func (l *lives) end() {
	for _, w := range l.here {
		if w.closed {
			w.turn()
		}
	}
	l.stream.mu.Lock()
	l.stream.failing, l.stream.lagging, l.stream.meanwhile = 0, 0, ""
	l.stream.mu.Unlock()
	var last []uint64
	for i, subject := range livesSubjects {
		l.publish(subject)
		last = append(last, l.stream.last())
		if i == 0 {
			l.lose(livesPatterns[0]) // only asking the stream can find it
		}
	}
	for _, pattern := range livesPatterns {
		l.arrive(pattern, len(l.wire[pattern]))
	}
	for _, w := range l.here {
		for i, subject := range livesSubjects {
			if natsproto.Matches(w.pattern, subject) {
				eventually(l.t, fmt.Sprintf("the last of %s for one on %s; it has %v", subject, w.pattern, w.received()), func() bool {
					l.fanout.CheckAll()
					return w.has(last[i])
				})
			}
		}
	}
	for _, w := range l.here {
		l.examine(w)
		for _, m := range l.missing(w, func(fanout.Stored) bool { return true }) {
			l.t.Errorf("one on %s who began at %v never got %d of %s; it got %v", w.pattern, w.begin, m.Sequence, m.Subject, w.received())
		}
	}
	for _, w := range append(l.here, l.gone...) {
		if len(w.ended) > 0 {
			l.t.Errorf("%s was ended: %v", w.pattern, w.ended)
		}
		at := map[string]uint64{}
		for _, r := range w.received() {
			if w.exactly && r.seq <= after(w.begin, r.subject) {
				l.t.Errorf("one on %s who began at %v got %d of %s", w.pattern, w.begin, r.seq, r.subject)
			}
			if r.seq <= at[r.subject] || !natsproto.Matches(w.pattern, r.subject) {
				l.t.Errorf("one on %s got %d of %s behind %d: %v", w.pattern, r.seq, r.subject, at[r.subject], w.received())
			}
			at[r.subject] = r.seq
		}
	}
}

func TestNothingIsLostDoubledOrReordered(t *testing.T) {
	r := newRig(t, fanout.Options{})
	runs := 400
	if testing.Short() {
		runs = 50
	}
	for seed := range uint64(runs) {
		random := rand.New(rand.NewPCG(seed, 1))
		program := make([]byte, 2*(20+random.IntN(200)))
		for i := range program {
			program[i] = byte(random.Uint32())
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runLives(t, r.live, program) })
	}
}

func FuzzNothingIsLostDoubledOrReordered(f *testing.F) {
	r := newRig(f, fanout.Options{})
	f.Add([]byte{3, 8, 0, 0, 0, 4, 0, 9, 0, 0, 1, 7, 1, 0, 2, 4, 1, 14, 0})
	f.Add([]byte{7, 0, 0, 0, 1, 0, 2, 9, 0, 11, 0, 12, 200, 0, 0, 4, 255, 10, 0})
	f.Fuzz(func(t *testing.T, program []byte) { runLives(t, r.live, program[:min(len(program), 600)]) })
}
