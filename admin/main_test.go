package admin_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a server with a directory and the admin service.
type house struct {
	engine  *engine.Engine
	keys    *keys.Set
	dir     *kv.Directory
	service *admin.Service
	client  *admin.Client // with the operator's key, over TCP
	nc      *nats.Conn    // the client's
}

// start runs the house; prepare may add to the options what needs its server.
func start(t testing.TB, opts admin.Options, prepare ...func(*house, *admin.Options)) *house {
	t.Helper()
	folder := t.TempDir()
	set, err := keys.Load(folder)
	must(t, err)
	e, err := engine.New(engine.Options{Listen: "127.0.0.1:0", StoreDir: folder, Keys: set})
	must(t, err)
	must(t, e.Start(t.Context()))
	t.Cleanup(func() { stop(t, e.Stop) })
	h := &house{engine: e, keys: set}
	h.dir = kv.New(h.part(t, engine.PartDirectory), kv.Options{})
	must(t, h.dir.Start(t.Context()))
	t.Cleanup(func() { stop(t, h.dir.Stop) })
	for _, p := range prepare {
		p(h, &opts)
	}
	h.service, err = admin.New(h.part(t, engine.PartAdmin), h.dir, opts)
	must(t, err)
	must(t, h.service.Start(t.Context()))
	t.Cleanup(func() { stop(t, h.service.Stop) })
	h.nc = h.dial(t, set.Operator, nats.CustomInboxPrefix(status.InboxOperator))
	h.client = admin.NewClient(h.nc, admin.OperatorName)
	return h
}

func stop(t testing.TB, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Error(err)
	}
}

func (h *house) part(t testing.TB, part engine.Part) *nats.Conn {
	t.Helper()
	nc, err := h.engine.Connect(part)
	must(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func (h *house) dial(t testing.TB, key nkeys.KeyPair, opts ...nats.Option) *nats.Conn {
	t.Helper()
	public, err := key.PublicKey()
	must(t, err)
	nc, err := nats.Connect(h.engine.ClientURL(), append(opts, nats.Nkey(public, key.Sign))...)
	must(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// store puts n statuses of the conversation into the stream, as the broadcaster does.
func (h *house) store(t testing.TB, id status.ConversationID, n int) {
	t.Helper()
	js, err := jetstream.New(h.part(t, engine.PartBroadcaster))
	must(t, err)
	for i := range n {
		_, err := js.Publish(t.Context(), status.IngestSubject(id, "engine"), fmt.Appendf(nil, `{"text":"%d"}`, i))
		must(t, err)
	}
}

// stored is the number of statuses of the conversation in the stream.
func (h *house) stored(t testing.TB, id status.ConversationID) (n uint64) {
	t.Helper()
	js, err := jetstream.New(h.nc)
	must(t, err)
	stream, err := js.Stream(t.Context(), "STATUS")
	must(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(status.ConversationSubjects(id)))
	must(t, err)
	for _, count := range info.State.Subjects {
		n += count
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
