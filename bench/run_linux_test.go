package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/bench"
)

// TestMain lets the test program be the servers, as cmd/deliver does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := bench.Serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestEveryServerIsMeasuredAndLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary and takes some seconds")
	}
	binary := build(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []bench.Row{
		{Name: "one subject", Sockets: 12, Subjects: 1, Rate: 100},
		{Name: "a subject each", Sockets: 12, Subjects: 12, Rate: 200},
	} {
		t.Run(row.Name, func(t *testing.T) {
			report, err := bench.Run(t.Context(), bench.Options{
				Row: row, Statuswire: binary, Self: self,
				Duration: 200 * time.Millisecond, WarmUp: 100 * time.Millisecond, Rounds: 2, Log: t.Output(),
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range report.Servers {
				if len(s.Rounds) != 2 || s.Rounds[0].PerDelivery <= 0 || s.Rounds[0].P50 <= 0 || s.Bytes < 250 {
					t.Errorf("%+v", s)
				}
			}
			var text strings.Builder
			if err := report.Print(&text); err != nil || strings.Count(text.String(), "\n| ") != 4 {
				t.Errorf("%v: %s", err, text.String())
			}
		})
	}
}

func TestTheLatencyOfLoneMessagesIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary and takes some seconds")
	}
	opts := bench.DefaultLatency()
	opts.Statuswire, opts.Servers, opts.Log = build(t), []string{bench.Statuswire}, t.Output()
	opts.Row.Sockets, opts.Row.Subjects, opts.Row.Rate = 20, 20, 200
	opts.Duration, opts.WarmUp, opts.Rounds = 200*time.Millisecond, 100*time.Millisecond, 2
	report, err := bench.Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range report.Servers[0].Rounds {
		if m.P50 <= 0 || m.P99 < m.P50 || m.P999 < m.P99 || m.Max < m.P999 {
			t.Errorf("%+v", m)
		}
	}
	var text strings.Builder
	if err := report.PrintLatency(&text); err != nil || !strings.Contains(text.String(), "\n| statuswire | ") {
		t.Errorf("%v: %s", err, text.String())
	}
}

func TestSocketsAreHeldAndTheirMemoryIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary and takes some seconds")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	opts := bench.DefaultIdle()
	opts.Statuswire, opts.Servers, opts.Self, opts.Log = build(t), []string{bench.Statuswire}, self, t.Output()
	opts.Rows = []bench.IdleRow{{Name: "few", Sockets: 200, Subjects: 100, Hold: 100 * time.Millisecond}}
	opts.Rounds = 2
	report, err := bench.RunIdle(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Crowds) != 1 || len(report.Crowds[0].Rounds) != 2 {
		t.Fatalf("%+v", report)
	}
	for _, m := range report.Crowds[0].Rounds {
		if m.Before < 1<<20 || m.Held <= m.Before || m.After < 1<<20 || m.PerLogin <= 0 {
			t.Errorf("%+v", m)
		}
	}
	var text strings.Builder
	if err := report.Print(&text); err != nil || !strings.Contains(text.String(), "| few | 200 ") {
		t.Errorf("%v: %s", err, text.String())
	}
}

// build returns the path of the program, built from here.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "statuswire")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/statuswire").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

func TestReplaysAreWholeAndTheDeliveryBesideThemIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary and takes some seconds")
	}
	opts := bench.DefaultReplayOptions()
	opts.Statuswire, opts.Log = build(t), t.Output()
	opts.Stream, opts.Replayed, opts.Readers = 3000, 700, 2
	opts.Live.Sockets, opts.Duration, opts.Rounds = 5, 200*time.Millisecond, 2
	report, err := bench.Replay(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Rounds) != 2 || report.Before < 1<<20 || report.Peak < 1<<20 || report.After < 1<<20 {
		t.Errorf("%+v", report)
	}
	for _, r := range report.Rounds {
		if r.Quiet.P99 <= 0 || r.Reading.P99 <= 0 || r.Reading.Max < r.Reading.P99 || len(r.Replays) < opts.Readers {
			t.Errorf("%+v", r)
		}
	}
	var text strings.Builder
	if err := report.Print(&text); err != nil || !strings.Contains(text.String(), "each whole and in order") {
		t.Errorf("%v: %s", err, text.String())
	}
}
