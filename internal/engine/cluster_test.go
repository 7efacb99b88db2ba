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

// startCluster starts three servers that share the keys, as three copies of DIR/keys,
// and returns them with the options to start each again.
func startCluster(t *testing.T) ([]*engine.Engine, []engine.Options) {
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
	var options []engine.Options
	started := make(chan error, len(routes))
	for i, route := range routes {
		opts := engine.Options{
			Config: fmt.Appendf(statuswire.DefaultNATSConfig(), "\nserver_name: n%d\ncluster { name: c, listen: %q, routes: [\"nats://%s\"] }\n",
				i, route, strings.Join(routes, `", "nats://`)),
			Listen: "127.0.0.1:0", StoreDir: t.TempDir(), Keys: set, Replicas: 3, ReadyTimeout: time.Minute,
		}
		e, err := engine.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, e) })
		engines, options = append(engines, e), append(options, opts)
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
	return engines, options
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
	engines, options := startCluster(t)
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
	// Its statuses are safe from one server's lower limit too.
	fill(t, engines[0], 5, "c2.engine")
	stop(t, engines[2])
	lower := options[2]
	lower.Retention.MaxPerSubject = 4
	if err := refused(t, lower); !strings.Contains(err.Error(), "max_per_subject 4: ") {
		t.Error(err)
	}
	if n := stored(t, engines[0]).Subjects["status.c2.engine"]; n != 5 {
		t.Errorf("after the refusal %d are left", n)
	}
	lower.AllowShrink = true
	start(t, lower)
	if n := stored(t, engines[0]).Subjects["status.c2.engine"]; n != 4 {
		t.Errorf("with the flag %d are left", n)
	}
}

func TestTheFanOutHearsOfANewLeader(t *testing.T) {
	engines, _ := startCluster(t)
	info, err := statusStream(t, engines[0]).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var leader int
	if _, err := fmt.Sscanf(info.Cluster.Leader, "n%d", &leader); err != nil {
		t.Fatal(err)
	}
	elected := subscribe(t, connect(t, engines[(leader+1)%3], engine.PartFanout), "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.STATUS")
	stop(t, engines[leader])
	m, err := elected.NextMsg(30 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(m.Data), fmt.Sprintf(`"leader":"n%d"`, leader)) {
		t.Errorf("the one that is gone was elected: %s", m.Data)
	}
	// The epoch of every position is made of it, so all leaders must say the same.
	now, err := statusStream(t, engines[(leader+1)%3]).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !now.Created.Equal(info.Created) || now.Cluster.Leader == info.Cluster.Leader {
		t.Errorf("by %s the stream was made at %v, by %s at %v", now.Cluster.Leader, now.Created, info.Cluster.Leader, info.Created)
	}
}
