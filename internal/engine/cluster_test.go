package engine_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
)

// startCluster starts three servers that share the keys, as three copies of DIR/keys.
func startCluster(t *testing.T) []*engine.Engine {
	t.Helper()
	set, err := keys.Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for range 3 {
		routes = append(routes, freeAddress(t))
	}
	var engines []*engine.Engine
	started := make(chan error, len(routes))
	for i, route := range routes {
		e, err := engine.New(engine.Options{
			Config: fmt.Appendf(statuswire.DefaultNATSConfig(), "\nserver_name: n%d\ncluster { name: c, listen: %q, routes: [\"nats://%s\"] }\n",
				i, route, strings.Join(routes, `", "nats://`)),
			Listen: "127.0.0.1:0", StoreDir: t.TempDir(), Keys: set, Replicas: 3, ReadyTimeout: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, e) })
		engines = append(engines, e)
		go func() { started <- e.Start(t.Context()) }() // ends with the answer
	}
	for range engines {
		if err := <-started; err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return engines
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestThreeServersShareTheStreamsAndSealTheirCallouts(t *testing.T) {
	engines := startCluster(t)
	for i, e := range engines {
		if !e.SealsCallouts() {
			t.Errorf("server %d sends callout requests in the open", i)
		}
	}
	info, err := statusStream(t, engines[0]).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Config.Replicas != 3 || info.Cluster == nil || len(info.Cluster.Replicas) != 2 {
		t.Errorf("STATUS: replicas %d, cluster %+v", info.Config.Replicas, info.Cluster)
	}
	live := subscribe(t, connect(t, engines[2], engine.PartFanout), "status.*.*")
	broadcaster := connect(t, engines[0], engine.PartBroadcaster)
	for { // what is published before the interest is known everywhere is not live
		sequence := publish(t, broadcaster, "ingest.c1.engine", "{}").Sequence
		if m, err := live.NextMsg(500 * time.Millisecond); err == nil {
			if m.Subject != "status.c1.engine" {
				t.Errorf("live on %s", m.Subject)
			}
			break
		}
		if sequence > 20 {
			t.Fatal("nothing is live on another server")
		}
	}
}
