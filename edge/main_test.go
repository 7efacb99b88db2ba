package edge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon bounds what a test waits for.
const soon = 30 * time.Second

// rig is a real server with the edge, a directory and the stream, as app wires them.
type rig struct {
	engine    *engine.Engine
	keys      *keys.Set
	directory *kv.Directory
	service   *edge.Service
	store     *nats.Conn // as the broadcaster
	gateway   *nats.Conn
	operator  *nats.Conn
}

// setup is what a test changes of the rig. Zero: the real thing.
type setup struct {
	directory edge.Directory
	history   edge.History
	presence  edge.Presence
	opts      edge.Options
}

func start(tb testing.TB, s setup) *rig {
	tb.Helper()
	dir := tb.TempDir()
	set, err := keys.Load(dir)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := engine.New(engine.Options{Listen: "127.0.0.1:0", StoreDir: dir, Keys: set})
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(tb, e.Stop) })
	r := &rig{engine: e, keys: set}
	r.startDirectory(tb)
	r.store, r.gateway = connect(tb, e, engine.PartBroadcaster), connect(tb, e, engine.PartGateway)
	r.operator = r.dialOperator(tb)
	r.startEdge(tb, s)
	return r
}

// startDirectory makes c1 of alice with member bob, and the empty c2 of carol.
func (r *rig) startDirectory(tb testing.TB) {
	tb.Helper()
	r.directory = kv.New(connect(tb, r.engine, engine.PartDirectory), kv.Options{})
	if err := r.directory.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(tb, r.directory.Stop) })
	for _, c := range []directory.Conversation{
		{ID: "c1", Owner: "alice", Members: []status.UserID{"bob"}, Categories: []status.Category{"deploy"}},
		{ID: "c2", Owner: "carol@example.com"},
	} {
		if err := r.directory.Create(tb.Context(), c); err != nil {
			tb.Fatal(err)
		}
	}
}

func (r *rig) startEdge(tb testing.TB, s setup) {
	tb.Helper()
	nc := connect(tb, r.engine, engine.PartEdge)
	deps := edge.Deps{Directory: s.directory, History: s.history, Presence: s.presence}
	if deps.Directory == nil {
		deps.Directory = r.directory
	}
	if deps.History == nil {
		deps.History = history.NewReader(nc)
	}
	if s.opts.Timeout == 0 {
		s.opts.Timeout = soon // two seconds are little on a busy machine
	}
	var err error
	if r.service, err = edge.New(nc, deps, s.opts); err != nil {
		tb.Fatal(err)
	}
	if err := r.service.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(tb, r.service.Stop) })
}

func connect(tb testing.TB, e *engine.Engine, part engine.Part) *nats.Conn {
	tb.Helper()
	nc, err := e.Connect(part)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func (r *rig) dialOperator(tb testing.TB) *nats.Conn {
	tb.Helper()
	public, err := r.keys.Operator.PublicKey()
	if err != nil {
		tb.Fatal(err)
	}
	nc, err := nats.Connect(r.engine.ClientURL(), nats.Nkey(public, r.keys.Operator.Sign), nats.CustomInboxPrefix(status.InboxOperator))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func stop(tb testing.TB, stop func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := stop(ctx); err != nil {
		tb.Error(err)
	}
}

// ingest stores one status as the broadcaster does, and returns its sequence.
func (r *rig) ingest(tb testing.TB, c status.ConversationID, cat status.Category, data string) uint64 {
	tb.Helper()
	m, err := r.store.Request(status.IngestSubject(c, cat), []byte(data), soon)
	if err != nil {
		tb.Fatal(err)
	}
	var ack struct {
		Seq   uint64        `json:"seq"`
		Error *status.Error `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil || ack.Error != nil {
		tb.Fatal(err, ack.Error)
	}
	return ack.Seq
}

// ask sends a request and returns the answer, taken apart.
func ask(tb testing.TB, nc *nats.Conn, subject string) (edge.Welcome, *status.Error, nats.Header) {
	tb.Helper()
	w, refusal, header, err := request(nc, subject, soon)
	if err != nil {
		tb.Fatalf("%s: %v", subject, err)
	}
	return w, refusal, header
}

func request(nc *nats.Conn, subject string, timeout time.Duration) (edge.Welcome, *status.Error, nats.Header, error) {
	m, err := nc.Request(subject, nil, timeout)
	if err != nil {
		return edge.Welcome{}, nil, nil, err
	}
	var body struct {
		edge.Welcome
		Error *status.Error `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &body); err != nil {
		return edge.Welcome{}, nil, nil, fmt.Errorf("%w in %s", err, m.Data)
	}
	return body.Welcome, body.Error, m.Header, nil
}
