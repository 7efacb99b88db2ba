package kv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/status"
)

// A consumer that is paused goes on to send heartbeats: only a write can tell
// that the view no longer moves.
func TestAWriteNoticesThatTheWatchStandsStill(t *testing.T) {
	e := startEngine(t)
	d := startDirectory(t, e, kv.Options{})
	create(t, d, "c1")
	pause, err := json.Marshal(map[string]time.Time{"pause_until": time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range consumers(t, e) {
		api(t, e, "CONSUMER.PAUSE.KV_directory."+name, pause)
	}
	create(t, d, "c2")
	if !knows(d, "c1") || !knows(d, "c2") {
		t.Error("the write is not seen")
	}
}

// follower keeps what a gateway would keep: what the directory said when it told
// of a change.
type follower struct {
	mu    sync.Mutex
	known map[status.ConversationID]directory.Conversation
}

func follow(d *kv.Directory) *follower {
	f := &follower{known: map[status.ConversationID]directory.Conversation{}}
	d.OnChange(func(change directory.Change) {
		c, err := d.Conversation(context.Background(), change.ID)
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.known, change.ID)
		if err == nil {
			f.known[change.ID] = c
		}
	})
	return f
}

func (f *follower) agrees(list []directory.Conversation) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.known) == len(list) && !slices.ContainsFunc(list, func(c directory.Conversation) bool { return !f.known[c.ID].Equal(c) })
}

// Two nodes write at random while connections and consumers are torn away.
// Whatever was said to be done must stand in the end, on both nodes and with
// everybody who was told.
func TestNothingIsMissedWhileWatchesAreTornAway(t *testing.T) {
	const conversations, tears = 40, 25
	e := startEngine(t)
	var nodes []*kv.Directory
	var conns []*nats.Conn
	var followers []*follower
	for range 2 {
		nc := connect(t, e, engine.PartDirectory)
		d := kv.New(nc, kv.Options{Heartbeat: 500 * time.Millisecond})
		followers = append(followers, follow(d))
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		nodes, conns = append(nodes, d), append(conns, nc)
	}
	var writers sync.WaitGroup
	writing, stop := context.WithCancel(t.Context())
	defer stop()
	for n := range 4 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 7))
			for writing.Err() == nil {
				randomWrite(t, r, nodes[n%2], status.ConversationID(fmt.Sprintf("c%d", r.IntN(conversations))))
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 1))
	root := superuser(t, e)
	for range tears {
		<-time.After(time.Duration(20+r.IntN(80)) * time.Millisecond)
		if r.IntN(2) == 0 {
			if err := conns[r.IntN(2)].ForceReconnect(); err != nil {
				t.Error(err)
			}
			continue
		}
		for _, name := range consumers(t, e) {
			// It may be gone by itself.
			_, _ = root.Request("$JS.API.CONSUMER.DELETE.KV_directory."+name, nil, time.Second)
		}
	}
	stop()
	writers.Wait()
	fresh := startDirectory(t, e, kv.Options{})
	want, err := fresh.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range nodes {
		eventually(t, "the nodes agree with the bucket", func() bool {
			got, _ := d.List(t.Context(), "")
			return slices.EqualFunc(got, want, directory.Conversation.Equal)
		})
		eventually(t, "who was told agrees with the bucket", func() bool { return followers[i].agrees(want) })
		for _, c := range want {
			ids, _ := d.OfUser(t.Context(), c.Owner, conversations)
			if !slices.Contains(ids, c.ID) {
				t.Errorf("%s is not among those of its owner", c.ID)
			}
		}
		eventually(t, "the nodes are ready", func() bool { return d.Ready() == nil })
	}
}

func randomWrite(t *testing.T, r *rand.Rand, d *kv.Directory, id status.ConversationID) {
	user := status.UserID(fmt.Sprintf("u%d", r.IntN(10)))
	var err error
	switch r.IntN(5) {
	case 0:
		if err = d.Create(context.Background(), directory.Conversation{ID: id, Owner: "alice"}); err == nil {
			c, lookUp := d.Conversation(context.Background(), id)
			if lookUp == nil && c.Owner != "alice" {
				t.Errorf("%s was created but is %+v", id, c)
			}
		}
	case 1:
		_, err = d.AddMember(context.Background(), id, user)
	case 2:
		_, err = d.RemoveMember(context.Background(), id, user)
	case 3:
		err = d.Delete(context.Background(), id)
	case 4:
		err = d.Import(context.Background(), []directory.Conversation{{ID: id, Owner: "alice", Members: []status.UserID{user}}})[0].Err
	}
	for _, fine := range []error{nil, directory.ErrNotFound, directory.ErrExists, directory.ErrConflict, directory.ErrUnavailable} {
		if errors.Is(err, fine) {
			return
		}
	}
	t.Errorf("%s: %v", id, err)
}
