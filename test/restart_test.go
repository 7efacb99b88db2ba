//go:build e2e

package test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/statuswire/statuswire/status"
)

// connectAs connects over TCP with a key of the data folder, as a service
// ("service") or an operator ("operator") does.
func connectAs(t testing.TB, s *statuswire, name string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(filepath.Join(s.DataDir, "keys", name+".nk"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.NATS, append([]nats.Option{key, nats.CustomInboxPrefix(inboxOf(name)), nats.MaxReconnects(0)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// inboxOf is the prefix of the inboxes that a key may hear.
func inboxOf(key string) string {
	switch key {
	case "operator":
		return status.InboxOperator
	case "system":
		return status.InboxSystem
	}
	return nats.InboxPrefix[:len(nats.InboxPrefix)-1]
}

func TestWhatWasAcknowledgedOutlivesTheProcess(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*statuswire) error
	}{
		{"ended by SIGTERM", (*statuswire).Stop},
		{"killed", func(s *statuswire) error { s.Kill(); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := startStatuswireIn(t, dir)
			s.run(t, "conversation", "create", "c1", "--owner", "alice")
			js, err := jetstream.New(connectAs(t, s, "service"))
			if err != nil {
				t.Fatal(err)
			}
			const count = 200
			for i := range count {
				if _, err := js.Publish(t.Context(), "status.c1.engine", fmt.Appendf(nil, `{"text":"step %d"}`, i+1)); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.end(s); err != nil {
				t.Errorf("the end: %v", err)
			}

			again := startStatuswireIn(t, dir)
			if js, err = jetstream.New(connectAs(t, again, "operator")); err != nil {
				t.Fatal(err)
			}
			stream, err := js.Stream(t.Context(), "STATUS")
			if err != nil {
				t.Fatal(err)
			}
			if state := stream.CachedInfo().State; state.Msgs != count || state.LastSeq != count {
				t.Errorf("%d of %d statuses are left, the last is %d", state.Msgs, count, state.LastSeq)
			}
			if got := again.run(t, "conversation", "list", "--owner", "alice"); got == "" {
				t.Error("the conversation is gone")
			}
			if js, err = jetstream.New(connectAs(t, again, "service")); err != nil {
				t.Fatal(err)
			}
			ack, err := js.Publish(t.Context(), "status.c1.engine", []byte(`{"text":"on we go"}`))
			if err != nil {
				t.Fatal(err)
			}
			if ack.Sequence != count+1 {
				t.Errorf("the next status is %d, want %d", ack.Sequence, count+1)
			}
		})
	}
}
