package history_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer runs a NATS server with JetStream and nothing else: this package
// needs no more of the engine than the stream.
func startServer(tb testing.TB) *nats.Conn {
	tb.Helper()
	nc, _ := startServerWith(tb, true)
	return nc
}

func startServerWith(tb testing.TB, jetStream bool) (*nats.Conn, *server.Server) {
	tb.Helper()
	s, err := server.NewServer(&server.Options{
		JetStream: jetStream, StoreDir: tb.TempDir(), DontListen: true, NoSigs: true,
		NoLog: true, MaxPending: 8 << 20,
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		tb.Fatal("server is not ready")
	}
	return connectTo(tb, s), s
}

func connectTo(tb testing.TB, s *server.Server) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// startStream adds the stream STATUS as the engine makes it, as far as reading
// is concerned.
func startStream(tb testing.TB) (*nats.Conn, jetstream.Stream) {
	tb.Helper()
	nc := startServer(tb)
	return nc, addStream(tb, nc)
}

func addStream(tb testing.TB, nc *nats.Conn) jetstream.Stream {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	st, err := js.CreateStream(tb.Context(), jetstream.StreamConfig{
		Name: "STATUS", Subjects: []string{"status.*.*"}, AllowDirect: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return st
}

// store publishes one message for each subject and returns the last sequence.
func store(tb testing.TB, nc *nats.Conn, subjects ...string) uint64 {
	tb.Helper()
	var seq uint64
	for i, subject := range subjects {
		seq = storeMsg(tb, nc, &nats.Msg{Subject: subject, Data: fmt.Appendf(nil, `{"text":"%d"}`, i)})
	}
	return seq
}

func storeMsg(tb testing.TB, nc *nats.Conn, m *nats.Msg) uint64 {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	ack, err := js.PublishMsg(context.Background(), m)
	if err != nil {
		tb.Fatal(err)
	}
	return ack.Sequence
}
