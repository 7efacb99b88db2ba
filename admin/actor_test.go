package admin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/admin"
)

// The operator's own key is not every operator: it asks in its own name only,
// whatever it writes into the subject or the header.
func TestNobodyAsksInTheNameOfAnother(t *testing.T) {
	heard := &events{}
	h := start(t, admin.Options{Audit: heard})
	for _, subject := range []string{
		"admin.conversation.create.bob", "admin.conversation.create.*", "admin.conversation.create.bob.operator", "admin.conversation.>",
		"admin.why.bob", "admin.why.bob.operator", "admin.session.kick.system",
	} {
		m, err := h.nc.Request(subject, []byte(`{"id":"c1","owner":"alice"}`), 200*time.Millisecond)
		if !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: answered %v, %v", subject, m, err)
		}
	}
	if got := heard.reasons(); len(got) != 0 {
		t.Fatalf("recorded %q", got)
	}
	forged := nats.NewMsg("admin.conversation.create")
	forged.Data = []byte(`{"id":"c2","owner":"alice"}`)
	for _, name := range []string{"Nats-Request-Info", "Actor", "Statuswire-Actor"} {
		forged.Header.Set(name, `{"acc":"STATUS","user":"bob"}`)
	}
	_, err := h.nc.RequestMsg(forged, 5*time.Second)
	must(t, err)
	if got := strings.Join(heard.reasons(), "|"); got != "conversation_created by operator: c2 alice conversation created" {
		t.Errorf("recorded %q, want it by operator", got)
	}
}
