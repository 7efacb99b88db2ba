package gateway_test

import (
	"fmt"
	"testing"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/access"
)

// comeAndGo logs in with the token and leaves again.
func (r *rig) comeAndGo(token string) {
	r.t.Helper()
	before := r.gateway.Stats().Sockets
	b := r.login(token)
	must(r.t, b.conn.Close())
	eventually(r.t, "the socket has left", func() bool { return r.gateway.Stats().Sockets == before })
}

// costs is how many login decisions there are while do runs.
func (r *rig) costs(do func()) int {
	before := r.callout.count()
	do()
	return r.callout.count() - before
}

// A user with ever new tokens filled the memory with grants, 190 KiB each, and took the
// place of everybody's.
func TestAUserOfManyTokensKeepsNoMoreIdleGrantsThanAllowed(t *testing.T) {
	r := newRig(t, gateway.Options{Idle: access.IdleOptions{Grants: 6, PerUser: 4}})
	r.comeAndGo("bob/phone")
	for i := range 10 {
		r.comeAndGo(fmt.Sprintf("alice/%d", i))
	}
	if n := r.gateway.Stats().IdleGrants; n != 1+4 {
		t.Fatalf("%d grants are kept", n)
	}
	if n := r.costs(func() { r.comeAndGo("bob/phone"); r.comeAndGo("alice/9"); r.comeAndGo("alice/6") }); n != 0 {
		t.Fatalf("%d login decisions for grants that are kept", n)
	}
	// Now the least recently used of alice's is 7.
	r.comeAndGo("alice/new")
	if n := r.costs(func() { r.comeAndGo("alice/6") }); n != 0 {
		t.Fatal("a grant was dropped that was used just before")
	}
	if n := r.costs(func() { r.comeAndGo("alice/7") }); n != 1 {
		t.Fatal("the grant that was not used for longest is kept")
	}
}

func TestIdleGrantsOfAllTogetherAreBoundedTheLeastRecentFirst(t *testing.T) {
	r := newRig(t, gateway.Options{Idle: access.IdleOptions{Grants: 3}})
	for _, user := range []string{"ann", "bob", "cid", "ann", "dora"} {
		r.comeAndGo(user)
	}
	if n := r.gateway.Stats().IdleGrants; n != 3 {
		t.Fatalf("%d grants are kept", n)
	}
	if n := r.costs(func() { r.comeAndGo("ann"); r.comeAndGo("cid"); r.comeAndGo("dora") }); n != 0 {
		t.Fatalf("%d login decisions for grants that are kept", n)
	}
	if n := r.costs(func() { r.comeAndGo("bob") }); n != 1 {
		t.Fatal("the grant that was not used for longest is kept")
	}
}

func TestIdleGrantsAreBoundedByWhatTheyTake(t *testing.T) {
	for name, bounds := range map[string]access.IdleOptions{
		"of all":    {Bytes: 8 << 10},
		"of a user": {BytesPerUser: 8 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, gateway.Options{Idle: bounds})
			r.many("alice", 60)
			for i := range 4 {
				b := r.login(fmt.Sprintf("alice/%d", i))
				for c := range 50 {
					b.sub(fmt.Sprintf("presence.c%d", c), fmt.Sprint(c))
				}
				must(t, b.conn.Close())
				eventually(t, "the socket has left", func() bool { return r.gateway.Stats().Sockets == 0 })
				if st := r.gateway.Stats(); st.IdleBytes > 8<<10 || st.IdleGrants == 0 {
					t.Fatalf("%d grants of %d bytes are kept", st.IdleGrants, st.IdleBytes)
				}
			}
			if st := r.gateway.Stats(); st.Credentials != st.IdleGrants || st.Credentials > 3 {
				t.Fatalf("%+v", st)
			}
		})
	}
}
