package refusal_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// maxReasonBytes is the longest reason in a close frame (RFC 6455, section 5.5).
const maxReasonBytes = 123

// verdict is by a limit, with figures of many digits.
func verdict(name limit.Name) limit.Verdict {
	return limit.Verdict{Name: name, Limit: 1_000_000, Used: 1_000_000, Wanted: 1_000_000}
}

func TestEachCloseFitsIntoItsFrame(t *testing.T) {
	long := strings.Repeat("ü", 100)
	for name, c := range map[string]refusal.Closing{
		"stopping":        refusal.CloseStopping(),
		"expired":         refusal.CloseExpired(),
		"dead":            refusal.CloseDead(),
		"slow":            refusal.CloseSlow(),
		"access lost":     refusal.CloseAccessLost(),
		"done":            refusal.CloseDone(),
		"operator":        refusal.CloseByOperator(),
		"kicked":          refusal.CloseKicked("a" + long),
		"kicked by bytes": refusal.CloseKicked("\xff\xfe" + long),
		"link ended":      refusal.CloseLinkEnded("-ERR 'User Authentication Expired'", true),
		"connect timeout": refusal.CloseConnectTimeout(),
		"denied":          refusal.CloseDenied(long),
		"long CONNECT":    refusal.CloseLongConnect(1 << 20),
		"protocol":        refusal.CloseProtocol(errors.New(long)),
		"too large":       refusal.CloseTooLarge(natsproto.ErrPayloadTooLarge, 1<<20),
		"not UTF-8":       refusal.CloseNotUTF8(),
		"long frame":      refusal.CloseLongFrame(1 << 40),
		"too fast":        refusal.CloseTooFast(1_000_000),
		"too many frames": refusal.CloseTooManyFrames(1_000_000),
		"failed logins":   refusal.CloseLimited(refusal.ReasonFailedLogins(verdict(limit.FailedLogins)), 60),
		"connections":     refusal.CloseLimited(refusal.ReasonUserConnections(verdict(limit.ConnectionsPerUser)), 60),
	} {
		if len(c.Reason) > maxReasonBytes || !utf8.ValidString(c.Reason) {
			t.Errorf("%s: %q has %d bytes, at most %d and UTF-8 fit into a close frame", name, c.Reason, len(c.Reason), maxReasonBytes)
		}
		if name != "done" && c.Reason == "" {
			t.Errorf("%s: the browser is not told why", name)
		}
	}
}

// Clients find the subscription by these words; nats.js 3 in its errors.ts.
var subscriptionOf = regexp.MustCompile(`(?s)^Permissions Violation for Subscription to "(\S+)"(?: using queue "(\S+)")?`)

func TestAClientFindsTheSubscriptionThatIsRefused(t *testing.T) {
	for _, r := range []refusal.Refusal{
		{},
		refusal.By(verdict(limit.Categories)),
		refusal.By(verdict(limit.Subscriptions)),
		refusal.By(verdict(limit.SubscriptionChanges)),
		refusal.By(verdict(limit.GrantChanges)),
		refusal.GrantFull(100),
		refusal.LostAccess("c1"),
		{Reason: status.NotTheirs("c1")},
		{Reason: refusal.ReasonUpstreamFull},
	} {
		for _, queue := range []string{"", "workers"} {
			text := refusal.SubText("status.c1.engine", queue, r.Reason)
			found := subscriptionOf.FindStringSubmatch(text)
			if found == nil || found[1] != "status.c1.engine" || found[2] != queue {
				t.Errorf("%q does not name the subscription", text)
			}
			if strings.Count(text, `Subscription to "`) != 1 || strings.Count(text, `using queue "`) != len(found[2])/len("workers") {
				t.Errorf("%q names two", text)
			}
			if r.Reason != "" && !strings.HasSuffix(text, ": "+r.Reason) {
				t.Errorf("%q does not say why", text)
			}
		}
	}
}

func TestALimitOfEachKindHasItsWords(t *testing.T) {
	for _, name := range []limit.Name{limit.Categories, limit.Subscriptions, limit.SubscriptionChanges, limit.GrantChanges} {
		if r := refusal.By(verdict(name)); r.Reason == "" || r.Limit != name || !r.Is() {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, name := range []limit.Name{limit.FailedLogins, limit.ConnectionsPerUser} {
		if refusal.LoginLimited(verdict(name)) == "" {
			t.Errorf("%s: a login is not told", name)
		}
	}
}

// What ends by a kept link is a kick only if the server that the link led to is there.
func TestOnlyAKickIsAnOperatorsAct(t *testing.T) {
	for _, c := range []struct {
		name string
		last string
		runs bool
		want refusal.Closing
	}{
		{"the server has ended", "", false, refusal.ClosePassing(refusal.ReasonUnavailable)},
		{"the server says nothing", "", true, refusal.CloseByOperator()},
		{"the server says that the grant is over", "-ERR 'User Authentication Expired'", true, refusal.CloseExpired()},
		{"the server says something else", "-ERR 'Stale Connection'", true, refusal.ClosePassing(refusal.ReasonUnavailable)},
	} {
		got := refusal.CloseLinkEnded(c.last, c.runs)
		if got.Code != c.want.Code || got.Reason != c.want.Reason || got.Kind != c.want.Kind {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
