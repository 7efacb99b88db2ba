package authcallout_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/session"
)

// Another server takes the place of the first in the process: it has another id, and
// another key to seal its requests with.
func TestTheNextServerOfTheEngineIsAnsweredToo(t *testing.T) {
	for name, sealed := range map[string]bool{"plain requests": false, "sealed requests": true} {
		t.Run(name, func(t *testing.T) {
			r := start(t, setup{sealed: sealed})
			ask, fields := session.Ask{Join: "c1"}, map[string]string{"auth_token": token(t, "alice", time.Hour)}
			for i := range 3 {
				if l := r.connect(t, ask, fields); l.said != "PONG" || l.jwt == "" || l.denial != nil {
					t.Fatalf("server %d: the server said %q, denial %v", i, l.said, l.denial)
				}
				if _, err := r.engine.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if stats := r.service.Stats(); stats.Foreign != 0 {
				t.Errorf("%d requests were taken for another server's", stats.Foreign)
			}
		})
	}
}

// The clients of the next server have the numbers of those of the one before.
func TestTheEndOfAKeyHitsNobodyOfTheNextServer(t *testing.T) {
	r := startWithKeys(t, setup{})
	ci, other := r.create(t, "ci", keyring.RoleService), r.create(t, "other", keyring.RoleService)
	var number uint64
	for range 20 { // more than there are connections of our own
		nc, err := r.login(t, ci)
		if err != nil {
			t.Fatal(err)
		}
		if number, err = nc.GetClientID(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := r.create(t, "last", keyring.RoleService)
	ends, err := r.login(t, last)
	if err != nil {
		t.Fatal(err)
	}
	var stays *nats.Conn
	for now := uint64(0); now < number; {
		if stays, err = r.login(t, other); err != nil {
			t.Fatal(err)
		}
		if now, err = stays.GetClientID(); err != nil {
			t.Fatal(err)
		}
		if now > number {
			t.Fatalf("nobody got the number %d, now it is %d", number, now)
		}
	}
	for _, name := range []keyring.Name{"ci", "last"} {
		if _, err := r.ring.End(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the connection of the key that ended last to be closed", ends.IsClosed)
	if err := stays.Flush(); err != nil || !stays.IsConnected() {
		t.Errorf("the connection of another key with the number %d was closed: %v", number, err)
	}
}
