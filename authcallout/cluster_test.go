package authcallout_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/session"
)

// startCluster starts two servers that know each other.
func startCluster(t *testing.T) []*rig {
	t.Helper()
	if testing.Short() {
		t.Skip("starts two servers")
	}
	dir := t.TempDir()
	set, err := keys.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	routes := []string{freeAddress(t), freeAddress(t)}
	nodes, failures := make([]*rig, len(routes)), make([]error, len(routes))
	var starting sync.WaitGroup
	for i, listen := range routes {
		conf := patient(string(statuswire.DefaultNATSConfig())) + fmt.Sprintf(
			"\nserver_name: n%d\ncluster { name: c, listen: %q, no_advertise: true, routes: [ nats://%s ] }\n",
			i, listen, strings.Join(routes, ", nats://"))
		e, err := engine.New(engine.Options{Config: []byte(conf), Listen: "127.0.0.1:0", StoreDir: t.TempDir(), Keys: set, ReadyTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = &rig{engine: e, keys: set, sessions: session.NewRegistry()}
		starting.Go(func() {
			failures[i] = e.Start(t.Context())
		})
		t.Cleanup(func() { stop(t, e.Stop) })
	}
	starting.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Skipf("no cluster, so nothing to test: %v", err)
	}
	return nodes
}

// TestInAClusterEachCalloutAnswersItsOwnServer: with a queue group half of the
// grants would be recorded in the process that has no link for them.
func TestInAClusterEachCalloutAnswersItsOwnServer(t *testing.T) {
	nodes := startCluster(t)
	for _, n := range nodes {
		if !n.engine.SealsCallouts() {
			t.Error("requests leave the process and are not encrypted")
		}
		nc, err := n.engine.Connect(engine.PartCallout)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		n.service = n.serve(t, nc, setup{opts: authcallout.Options{}})
		defer stop(t, n.service.Stop)
	}
	// The other callout hears a request once the servers know its subscription.
	fields := map[string]string{"auth_token": token(t, "alice", time.Hour)}
	waitFor(t, "the servers to know both callouts", func() bool {
		nodes[0].connect(t, session.Ask{}, fields)
		nodes[1].connect(t, session.Ask{}, fields)
		return nodes[0].service.Stats().Foreign > 0 && nodes[1].service.Stats().Foreign > 0
	})
	var clients sync.WaitGroup
	for range 20 {
		for _, n := range nodes {
			clients.Go(func() {
				l, err := n.dial(session.Ask{Join: "c1"}, fields)
				if err != nil || l.said != "PONG" || l.jwt == "" {
					t.Errorf("server says %q, %v, %v", l.said, l.denial, err)
				}
			})
		}
	}
	clients.Wait()
	for _, n := range nodes {
		waitFor(t, "the other's requests to be passed over", func() bool { return n.service.Stats().Foreign >= 20 })
		if s := n.service.Stats(); len(s.Denied) != 0 {
			t.Errorf("stats %+v: want grants only", s)
		}
	}
}

// Who ends a key does not know where its clients are.
func TestInAClusterAKeyEndsOnEveryNode(t *testing.T) {
	var nodes []*keyRig
	for _, r := range startCluster(t) {
		nodes = append(nodes, withKeys(t, r, setup{}))
	}
	kp := nodes[0].create(t, "ci", keyring.RoleService)
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	var closed [2]atomic.Bool
	for i, n := range nodes {
		waitFor(t, "the node to know the key", func() bool { _, ok := n.ring.ByPublic(public); return ok })
		if _, err := n.login(t, kp, nats.ClosedHandler(func(*nats.Conn) { closed[i].Store(true) })); err != nil {
			t.Fatalf("node %d: %v", i, err)
		}
	}
	if _, err := nodes[0].ring.End(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		waitFor(t, "its connections to be closed", closed[i].Load)
		if _, err := n.login(t, kp); err == nil {
			t.Errorf("node %d: the ended key logs in", i)
		}
	}
}
