//go:build e2e

package test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/bench"
)

// TestGoodBrowsersGoOnBesideAHostileNetwork is the short form of bench/cmd/siege: what
// must hold however slow the machine is. How fast is for the benchmark to say.
func TestGoodBrowsersGoOnBesideAHostileNetwork(t *testing.T) {
	opts := bench.DefaultSiege()
	opts.Statuswire = binary(t)
	opts.Browsers, opts.Changes = 30, 6
	opts.Hostile = bench.Hostile{JunkTokens: 60, Origins: 100, Idle: 300, HalfRequests: 100, Pings: 2000, Joiners: 20}
	opts.Duration, opts.Rest = 8*time.Second, 0
	opts.Log = testLog{t}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	report, err := bench.RunSiege(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := report.Print(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", &table)

	siege := report.Siege
	if siege.Missing != 0 || siege.Disconnects != 0 || siege.Deliveries == 0 {
		t.Errorf("of %d deliveries %d are missing, and %d good browsers were disconnected", siege.Deliveries, siege.Missing, siege.Disconnects)
	}
	if len(siege.Refused) != 0 || siege.Logins == 0 {
		t.Errorf("%d good logins came through, these did not: %q", siege.Logins, siege.Refused)
	}
	if report.Recorded != opts.Changes {
		t.Errorf("%d of %d changes of access have a record of their own", report.Recorded, opts.Changes)
	}
	if report.LogBytes > 1<<20 {
		t.Errorf("%d bytes were logged", report.LogBytes)
	}

	tried, held := map[string]int{}, 0
	for what, n := range report.Attempts {
		kind, outcome, _ := strings.Cut(what, ": ")
		tried[kind] += n
		switch {
		case outcome == "held to the end" && (kind == "idle connection" || kind == "half a request"):
			held += n
		case kind == "foreign origin" && outcome == "HTTP 101":
			t.Errorf("%s: %d", what, n)
		}
	}
	for _, kind := range []string{"junk token", "foreign origin", "idle connection", "half a request", "pinging socket", "join"} {
		if tried[kind] == 0 {
			t.Errorf("no %s was tried: %v", kind, report.Attempts)
		}
	}
	if report.Attempts["pinging socket: closed by the server"] == 0 {
		t.Errorf("nobody who pings without a pause was closed: %v", report.Attempts)
	}
	if perAddress := 200; held == 0 || held > perAddress {
		t.Errorf("the network held %d connections with nothing in them, want some and %d at most", held, perAddress)
	}
}

// testLog shows what is going on when the test has failed.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
