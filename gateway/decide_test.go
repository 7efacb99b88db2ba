package gateway_test

import (
	"strings"
	"testing"

	"github.com/statuswire/statuswire/gateway"
)

// TestALongSubscriptionDoesNotEndTheFanOutForAll is about lines that the gateway
// takes and the server would end the fan-out's connection for.
func TestALongSubscriptionDoesNotEndTheFanOutForAll(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.login("alice")
	long := strings.Repeat("x", 4060)
	for subject, why := range map[string]string{
		"status.c1." + long:        "this is no category",
		"status.c1.a." + long:      "this is no category",
		"status.c1.Engine":         "this is no category",
		"status.c1.>x":             "this is no category",
		"presence.c1." + long:      "only status, presence and inbox subjects",
		"status.c1.engine " + long: "the name of the queue group is too long: at most 128 bytes",
		"status.c1.* " + long:      "the name of the queue group is too long: at most 128 bytes",
	} {
		b.send("SUB "+subject+" 1", "PING")
		line := b.line()
		name, _, _ := strings.Cut(subject, " ")
		if !strings.HasPrefix(line, `-ERR 'Permissions Violation for Subscription to "`+name+`"`) || !strings.Contains(line, why) {
			t.Errorf("SUB %.40s…: got %.120q, want %q", subject, line, why)
		}
		b.expect("PONG")
	}
	other := r.login("alice/2")
	other.send("SUB status.c1.engine "+strings.Repeat("q", 128)+" 1", "PING")
	other.expect("PONG")
}
