package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/history"
)

// expectText reads a status with the text.
func (b *browser) expectText(rest, text string) {
	b.t.Helper()
	if got := b.expectMsg(rest); !strings.Contains(got, fmt.Sprintf(`{"text":%q}`, text)) {
		b.t.Fatalf("got %q, want %q", got, text)
	}
}

func TestAHoleIsMendedOrEndsItsSubscriptionsWithAReason(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	first, second := r.login("alice"), r.login("alice")
	first.sub("status.c1.engine", "1")
	first.sub("status.c1.tool", "2")
	second.sub("status.c1.engine", "1")

	r.store("c1", "engine", "A")
	r.storeUnheard("c1", "engine", "B")
	r.store("c1", "engine", "C")
	for _, b := range []*browser{first, second} {
		for _, text := range []string{"A", "B", "C"} {
			b.expectText("status.c1.engine 1", text)
		}
	}

	r.reads.hide(history.ErrUnavailable)
	r.storeUnheard("c1", "engine", "D")
	r.store("c1", "engine", "E")
	const reason = `-ERR 'Permissions Violation for Subscription to "status.c1.engine": ` +
		`statuses of "status.c1.engine" are missing and could not be fetched: subscribe again and read the history'`
	first.expect(reason)
	second.expect(reason)
	r.store("c1", "tool", "other subscriptions go on")
	first.expectText("status.c1.tool 2", "other subscriptions go on")

	// Without the stream nobody would know what is missing.
	first.send("SUB status.c1.engine 3")
	first.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.engine": statuses cannot be delivered just now: subscribe again'`)
	r.reads.hide(nil)
	first.sub("status.c1.engine", "4")
	r.store("c1", "engine", "F")
	first.expectText("status.c1.engine 4", "F")
}
