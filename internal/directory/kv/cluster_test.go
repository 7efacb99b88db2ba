package kv_test

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/status"
)

// startCluster runs three bare servers and makes the bucket on all of them.
func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	var servers []*server.Server
	var seed *url.URL
	for i := range 3 {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, ProxyProtocol: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT},
		}
		if seed != nil {
			o.Routes = []*url.URL{seed}
		} else {
			// The first must know that it is not alone.
			o.Routes = []*url.URL{{Scheme: "nats-route", Host: "127.0.0.1:1"}}
		}
		s, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		eventually(t, "routes are open", func() bool { return s.ClusterAddr() != nil })
		if seed == nil {
			seed = &url.URL{Scheme: "nats-route", Host: s.ClusterAddr().String()}
		}
		servers = append(servers, s)
	}
	eventually(t, "the cluster has a leader", func() bool {
		return servers[0].JetStreamIsLeader() || servers[1].JetStreamIsLeader() || servers[2].JetStreamIsLeader()
	})
	js, err := jetstream.New(inProcess(t, servers[0]))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bucket is made", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "directory", Replicas: 3})
		return err == nil
	})
	return servers
}

func inProcess(t *testing.T, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestInAClusterNothingIsLostWhenAnyNodeGoes(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers")
	}
	for gone := range 3 {
		t.Run(fmt.Sprintf("node %d", gone), func(t *testing.T) {
			servers := startCluster(t)
			var nodes []*kv.Directory
			for _, s := range servers {
				d := kv.New(inProcess(t, s), kv.Options{})
				if err := d.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := d.Stop(context.Background()); err != nil {
						t.Error(err)
					}
				})
				nodes = append(nodes, d)
			}
			create(t, nodes[0], "c1")
			for _, d := range nodes {
				eventually(t, "c1 is seen", func() bool { return knows(d, "c1") })
			}
			addFromAll(t, nodes, "c1", 10)

			if err := nodes[gone].Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			servers[gone].Shutdown()
			servers[gone].WaitForShutdown()
			left := append(nodes[:gone:gone], nodes[gone+1:]...)
			begin := time.Now()
			if err := left[0].Create(t.Context(), directory.Conversation{ID: "c2", Owner: "alice"}); err != nil {
				t.Fatal(err)
			}
			t.Logf("the first write took %v", time.Since(begin))
			eventually(t, "the other node sees it", func() bool { return knows(left[1], "c2") })
			t.Logf("the other node saw it after %v", time.Since(begin))
			addFromAll(t, left, "c2", 10)
			for _, d := range left {
				eventually(t, "it is ready", func() bool { return d.Ready() == nil })
			}
		})
	}
}

// addFromAll has every node add n members at the same time and all see all.
func addFromAll(t *testing.T, nodes []*kv.Directory, id status.ConversationID, n int) {
	t.Helper()
	var writers sync.WaitGroup
	for node, d := range nodes {
		for i := range n {
			writers.Go(func() {
				_, err := d.AddMember(t.Context(), id, status.UserID(fmt.Sprintf("u%d-%d", node, i)))
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	writers.Wait()
	for _, d := range nodes {
		eventually(t, "all members are seen", func() bool {
			c, _ := d.Conversation(t.Context(), id)
			return len(c.Members) == n*len(nodes)
		})
	}
}
