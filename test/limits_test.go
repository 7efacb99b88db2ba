//go:build e2e

package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	statuswireroot "github.com/statuswire/statuswire"
)

// writeConfig writes a configuration file and returns its name.
func writeConfig(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "test.conf")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// wantFigures compares samples of /metrics; one that is not there is 0.
func wantFigures(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %v, want %v", name, got[name], n)
		}
	}
}

func refusals(reason, dryRun string) string {
	return `statuswire_refusals_total{dry_run="` + dryRun + `",reason="` + reason + `"}`
}

func TestLimitsOnConnectionsThroughUnmodifiedClients(t *testing.T) {
	s := startStatuswire(t, "--config", writeConfig(t, `
trusted_proxies: ["127.0.0.1"]
limits {
  connections_per_user: 3
  connections_per_address: 5
  failed_logins: 4
  operations: 30
  queue: 128KB
}`))
	got := nodeTestsWithLedger(t, s, "configured/connections.mjs")
	// What each of the two clients did.
	wantFigures(t, got, map[string]float64{
		refusals("connections_per_user", "false"):    2 * 2,
		refusals("connections_per_address", "false"): 2 * 2,
		refusals("failed_logins", "false"):           2 * 1,
		refusals("token", "false"):                   2 * 8,
		refusals("operations", "false"):              2,
		"statuswire_slow_closes_total":               2,
	})
}

// A user of many conversations made the server decide a login for each request.
func TestAskingOverManyConversationsCostsNoMoreLoginsThanAllowed(t *testing.T) {
	s := startStatuswire(t, "--config", writeConfig(t, "limits { grant_changes: 10 }"))
	got := nodeTestsWithLedger(t, s, "configured/grants.mjs")
	wantFigures(t, got, map[string]float64{
		refusals("grant_changes", "false"):                     2 * 4,
		`statuswire_callout_verdicts_total{verdict="granted"}`: 2 * (1 + 10),
	})
}

// A SUB beyond what the NATS server allows the fan-out succeeded, and its statuses came
// half a minute late.
func TestASubjectBeyondWhatTheServerFollowsIsRefused(t *testing.T) {
	shipped := string(statuswireroot.DefaultNATSConfig())
	const limit = "max_subscriptions: 250000"
	lowered := strings.Replace(shipped, limit, "max_subscriptions: 64", 1)
	if lowered == shipped {
		t.Fatalf("nats.conf has no %s", limit)
	}
	s := startStatuswire(t, "--nats", writeConfig(t, lowered), "--config", writeConfig(t, `
limits { categories: 1000, subscriptions: 1000, subscription_changes: 10000, operations: 1000 }`))
	got := nodeTestsWithLedger(t, s, "configured/full.mjs")
	wantFigures(t, got, map[string]float64{
		refusals("unavailable", "false"):        2,
		"statuswire_fanout_subscriptions_limit": 64,
	})
	for text, n := range map[string]int{"nearly as many different subjects": 2, "further ones are refused": 2} {
		if got := strings.Count(s.Log(), text); got != n { // once for each of the two clients, who come one after the other
			t.Errorf("%d lines of the log say %q, want %d", got, text, n)
		}
	}
}

func TestLimitsInDryRunCountAndLetPass(t *testing.T) {
	s := startStatuswire(t, "--config", writeConfig(t, `
limits {
  categories: 2
  subscriptions: 3
  subscription_changes: 4
  connections_per_user: 2
  dry_run: ["categories", "subscriptions", "subscription_changes", "connections_per_user"]
}`))
	got := nodeTestsWithLedger(t, s, "configured/dryrun.mjs")
	wantFigures(t, got, map[string]float64{
		refusals("categories", "true"):            2 * 4,
		refusals("subscriptions", "true"):         2 * 3,
		refusals("subscription_changes", "true"):  2 * 2,
		refusals("connections_per_user", "true"):  2 * 3,
		refusals("categories", "false"):           0,
		refusals("subscriptions", "false"):        0,
		refusals("subscription_changes", "false"): 0,
		refusals("connections_per_user", "false"): 0,
	})
}

// TestRequestsThatWaitAreBounded takes from the edge what lets it answer.
func TestRequestsThatWaitAreBounded(t *testing.T) {
	text := string(statuswireroot.DefaultNATSConfig())
	begin := strings.Index(text, "{ nkey: $EDGE_KEY")
	if begin < 0 {
		t.Fatal("nats.conf has no edge")
	}
	const answers = `"_INBOX_gateway.>", `
	muted := text[:begin] + strings.Replace(text[begin:], answers, "", 1)
	if muted == text {
		t.Fatalf("the edge may not publish %s", answers)
	}
	s := startStatuswire(t, "--nats", writeConfig(t, muted))
	got := nodeTestsWithLedger(t, s, "configured/silent.mjs")
	wantFigures(t, got, map[string]float64{refusals("requests", "false"): 2})
}
