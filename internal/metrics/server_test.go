package metrics_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/metrics"
)

// serverStats asks a real server for what ServerStats holds.
func serverStats(srv *server.Server) (metrics.ServerStats, error) {
	v, err := srv.Varz(nil)
	if err != nil {
		return metrics.ServerStats{}, err
	}
	j, err := srv.Jsz(&server.JSzOptions{Streams: true})
	if err != nil {
		return metrics.ServerStats{}, err
	}
	s := metrics.ServerStats{
		Connections: v.Connections, TotalConnections: v.TotalConnections, Subscriptions: int(v.Subscriptions),
		InMsgs: v.InMsgs, OutMsgs: v.OutMsgs, InBytes: v.InBytes, OutBytes: v.OutBytes,
		SlowConsumers: v.SlowConsumers, MemoryBytes: v.Mem,
		StoreBytes: j.Store, StoreMemoryBytes: j.Memory, APIRequests: j.API.Total, APIErrors: j.API.Errors,
	}
	for _, account := range j.AccountDetails {
		for _, st := range account.Streams {
			s.Streams = append(s.Streams, metrics.StreamStats{
				Name: st.Name, Messages: st.State.Msgs, Bytes: st.State.Bytes,
				Subjects: st.State.NumSubjects, LastSequence: st.State.LastSeq,
			})
		}
	}
	return s, nil
}

func TestARealServerTellsItsFigures(t *testing.T) {
	srv, err := server.NewServer(&server.Options{JetStream: true, StoreDir: t.TempDir(), DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "STATUS", Subjects: []string{"status.*.*"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := js.Publish(t.Context(), fmt.Sprintf("status.c%d.engine", i%2), []byte(`{"text":"hi"}`)); err != nil {
			t.Fatal(err)
		}
	}
	m := fresh(metrics.Options{Sources: metrics.Sources{
		Server: func() (metrics.ServerStats, error) { return serverStats(srv) },
	}})
	want(t, m,
		`statuswire_nats_up 1`,
		`statuswire_nats_connections 1`,
		`statuswire_nats_connections_opened_total 1`,
		`statuswire_nats_stream_messages{stream="STATUS"} 5`,
		`statuswire_nats_stream_subjects{stream="STATUS"} 2`,
		`statuswire_nats_stream_stored_total{stream="STATUS"} 5`,
		`statuswire_nats_slow_consumers_total 0`,
		`statuswire_nats_jetstream_api_errors_total 0`)
}

func BenchmarkServer(b *testing.B) {
	srv, err := server.NewServer(&server.Options{JetStream: true, StoreDir: b.TempDir(), DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		b.Fatal(err)
	}
	srv.Start()
	defer func() { srv.Shutdown(); srv.WaitForShutdown() }()
	for b.Loop() {
		if _, err := serverStats(srv); err != nil {
			b.Fatal(err)
		}
	}
}
