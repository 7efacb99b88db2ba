package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a fan-out on a real server, and a way to store statuses.
type rig struct {
	t      testing.TB
	fanout *fanout.Fanout
	repair *stream
	ingest *nats.Conn
	live   *nats.Conn
	admin  *nats.Conn
	// operator connects as an operator, over TCP and in the account of operators.
	operator func() *nats.Conn
	reads    func() *nats.Conn // a connection that reads the stream
}

func newRig(t testing.TB, opts fanout.Options) *rig {
	t.Helper()
	return newRigOn(t, opts)
}

// newRigOn is newRig with other pieces of nats.conf: each old one, then what stands in its
// place.
func newRigOn(t testing.TB, opts fanout.Options, pieces ...string) *rig {
	t.Helper()
	dir := t.TempDir()
	set, err := keys.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The tests themselves say that there is a new leader.
	purge := `publish: { allow: ["$JS.API.STREAM.PURGE.STATUS"`
	conf := strings.Replace(string(statuswire.DefaultNATSConfig()), purge, purge+`, "$JS.EVENT.>"`, 1)
	for piece := range slices.Chunk(pieces, 2) {
		if !strings.Contains(conf, piece[0]) {
			t.Fatalf("nats.conf has no %s", piece[0])
		}
		conf = strings.Replace(conf, piece[0], piece[1], 1)
	}
	e, err := engine.New(engine.Options{Config: []byte(conf), StoreDir: dir, Listen: "127.0.0.1:0", Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	connect := func(p engine.Part) *nats.Conn {
		nc, err := e.Connect(p)
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	operator := func() *nats.Conn {
		key, err := nats.NkeyOptionFromSeed(keys.OperatorFile(dir))
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(e.ClientURL(), key, nats.CustomInboxPrefix(status.InboxOperator))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	r := &rig{t: t, operator: operator, reads: func() *nats.Conn { return connect(engine.PartFanout) }, ingest: connect(engine.PartBroadcaster), live: connect(engine.PartFanout), admin: connect(engine.PartAdmin)}
	r.repair = &stream{reader: history.NewReader(connect(engine.PartFanout)), piece: replayPiece, asked: map[string]int{}}
	if opts.Interest == nil {
		opts.Interest = func(clientID uint64) (all []fanout.Interest, err error) {
			subs, err := e.SubscriptionsOf(clientID)
			for _, s := range subs {
				all = append(all, fanout.Interest(s))
			}
			return all, err
		}
	}
	r.fanout = fanout.New(r.live, r.repair, opts)
	if err := r.fanout.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.fanout.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// store puts a status into the stream and returns when it is acknowledged.
func (r *rig) store(conversation, category, text string) {
	r.t.Helper()
	ack, err := r.ingest.Request("ingest."+conversation+"."+category, fmt.Appendf(nil, `{"text":%q}`, text), 5*time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(ack.Data) == 0 {
		r.t.Fatal("empty ack")
	}
}

// dropBelow takes away what has a lower sequence, as retention does.
func (r *rig) dropBelow(seq uint64) {
	r.t.Helper()
	answer, err := r.admin.Request("$JS.API.STREAM.PURGE.STATUS", fmt.Appendf(nil, `{"seq":%d}`, seq), 5*time.Second)
	if err != nil || !strings.Contains(string(answer.Data), `"success":true`) {
		r.t.Fatal(answer, err)
	}
}

func (r *rig) subscribe(subject, queue string, to fanout.Receiver) *fanout.Subscription {
	r.t.Helper()
	s, err := r.fanout.Subscribe(r.t.Context(), subject, queue, "1", to)
	if err != nil {
		r.t.Fatal(err)
	}
	r.flush()
	return s
}

// flush returns when upstream knows of every subscription.
func (r *rig) flush() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	if err := r.fanout.Flush(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// stream is the real history, with a door to make it fail.
type stream struct {
	reader  *history.Reader
	mu      sync.Mutex
	err     error
	calls   int
	replays int
	piece   int // statuses in a piece

	epoch string // "": the stream's

	blind              error          // what asking for positions fails with
	stateless          error          // what asking for the state and for parts fails with
	held, heldState    chan struct{}  // not nil: parts, and the state, wait for it
	inRange            bool           // a part is waited for
	questioned         int            // positions, states and parts that were asked for
	asked              map[string]int // how often
	asking, mostAsking int            // how many ask at a time
}

func (s *stream) LastSequences(ctx context.Context, subjects ...string) (map[string]uint64, uint64, error) {
	s.mu.Lock()
	for _, subject := range subjects {
		s.asked[subject]++
	}
	s.questioned++
	s.asking++
	s.mostAsking = max(s.mostAsking, s.asking)
	err := s.blind
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.asking--
		s.mu.Unlock()
	}()
	if err != nil {
		return nil, 0, err
	}
	return s.reader.LastSequences(ctx, subjects...)
}

// State implements fanout.Repair.
func (s *stream) State(ctx context.Context) (fanout.StreamState, error) {
	s.mu.Lock()
	s.questioned++
	err, held := s.stateless, s.heldState
	s.mu.Unlock()
	if held != nil {
		<-held
	}
	if err != nil {
		return fanout.StreamState{}, err
	}
	state, err := s.reader.State(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != "" {
		state.Epoch = s.epoch
	}
	return fanout.StreamState(state), err
}

// Range implements fanout.Repair.
func (s *stream) Range(ctx context.Context, from uint64) ([]fanout.Stored, error) {
	s.mu.Lock()
	s.questioned++
	s.inRange = true
	err, held := s.stateless, s.held
	s.mu.Unlock()
	if held != nil {
		<-held
	}
	if err != nil {
		return nil, err
	}
	messages, err := s.reader.Range(ctx, from)
	return stored(messages), err
}

// questions is how often the stream was asked, but for what is missing.
func (s *stream) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.questioned
}

// refuse sets what asking for the state, and for parts, fails with.
func (s *stream) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stateless = err
}

func (s *stream) holdRange(until chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = until
}

func (s *stream) holdState(until chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heldState = until
}

func (s *stream) ranging() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inRange
}

// checked is how often the positions of the subject were asked for.
func (s *stream) checked(subject string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[subject]
}

// fails sets what asking for positions fails with.
func (s *stream) fails(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = err
}

func (s *stream) Replay(subject string, place fanout.Place) fanout.Replay {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replays++
	return s.replay(subject, place, s.piece)
}

func (s *stream) Mend(subject string, place fanout.Place) fanout.Replay {
	return s.replay(subject, place, history.MaxBatch)
}

func (s *stream) replay(subject string, place fanout.Place, piece int) fanout.Replay {
	q := history.Query{Place: history.Place(place)}
	q.Conversation, _ = status.ConversationOf(subject)
	if _, category, err := status.ParseSubject(subject); err == nil {
		q.Categories = []status.Category{category}
	}
	return &replay{s, piece, s.reader.Replay(q)}
}

// replay reads a piece at a time.
type replay struct {
	stream *stream
	piece  int
	*history.Replay
}

// replayPiece is a few statuses.
const replayPiece = 7

func (r *replay) Next(ctx context.Context) (fanout.Piece, error) {
	if err := r.stream.call(); err != nil {
		return fanout.Piece{}, err
	}
	b, err := r.Replay.Next(ctx, r.piece)
	if errors.Is(err, history.ErrAheadOfStream) {
		err = fanout.ErrAheadOfStream
	}
	return fanout.Piece{Statuses: stored(b.Messages), Epoch: b.Epoch, UpTo: b.UpTo, Truncated: b.Truncated, Done: b.Done}, err
}

func stored(messages []history.Message) []fanout.Stored {
	var all []fanout.Stored
	for _, m := range messages {
		all = append(all, fanout.Stored{Subject: m.Subject, Sequence: m.Sequence, Header: m.Header, Data: m.Data})
	}
	return all
}

// call notes a read and says whether it fails.
func (s *stream) call() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return s.err
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// collector is a receiver that remembers.
type collector struct {
	mu     sync.Mutex
	seqs   []uint64
	texts  []string
	all    []*fanout.Message
	ended  []string
	change chan struct{}
}

func newCollector() *collector { return &collector{change: make(chan struct{}, 1)} }

func (c *collector) Deliver(m *fanout.Message, _ *fanout.Subscription) {
	c.mu.Lock()
	c.seqs = append(c.seqs, m.Sequence)
	c.texts = append(c.texts, string(m.Data))
	c.all = append(c.all, m)
	c.mu.Unlock()
	c.wake()
}

func (c *collector) Ended(_ *fanout.Subscription, reason string) {
	c.mu.Lock()
	c.ended = append(c.ended, reason)
	c.mu.Unlock()
	c.wake()
}

func (c *collector) wake() {
	select {
	case c.change <- struct{}{}:
	default:
	}
}

// wait returns the sequences once there are n, or fails.
func (c *collector) wait(t testing.TB, what string, done func(*collector) bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		c.mu.Lock()
		ok := done(c)
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-c.change:
		case <-deadline:
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Fatalf("%s: not within 10 s; got %v, ended %q", what, c.seqs, c.ended)
		}
	}
}

func (c *collector) waitFor(t testing.TB, n int) []uint64 {
	t.Helper()
	c.wait(t, fmt.Sprintf("%d statuses", n), func(c *collector) bool { return len(c.seqs) >= n })
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]uint64(nil), c.seqs...)
}

// without stores while the fan-out hears nothing of the topic.
func (r *rig) without(subject string, do func()) {
	r.t.Helper()
	if err := r.fanout.Deaf(subject, do); err != nil {
		r.t.Fatal(err)
	}
}

// replay lets a message pass that upstream did not send.
func (r *rig) replay(m *nats.Msg) { r.fanout.Take(m.Subject, m) }

// called is how many reads there were, but for positions.
func (s *stream) called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// tried is how many replays were begun.
func (s *stream) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replays
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}
