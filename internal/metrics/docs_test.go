package metrics_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/statuswire/statuswire/internal/metrics"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/metrics.md")

const (
	page        = "../../docs/metrics.md"
	tableBegins = "| name | type | labels | what |\n|---|---|---|---|\n"
	namesBegin  = "| reason | |\n|---|---|\n"
)

// TestThePageIsTheRegistry holds docs/metrics.md: each figure with its type, its
// labels and its help, in the order of the names, and nothing else.
func TestThePageIsTheRegistry(t *testing.T) {
	m := fresh(metrics.Options{Sources: allSources()})
	all := families(t, m)
	var rows strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch {
		case strings.HasPrefix(name, "statuswire_"):
			f := all[name]
			fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), labelsOf(f), f.GetHelp())
		case strings.HasPrefix(name, "go_"), strings.HasPrefix(name, "process_"):
		default:
			t.Errorf("%s is not ours, nor Go's, nor the process's", name)
		}
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), tableBegins)
	if !ok {
		t.Fatalf("%s has no table of figures", page)
	}
	tail := rest[strings.Index(rest, "\n\n")+1:]
	wanted := head + tableBegins + rows.String() + tail
	if *update {
		if err := os.WriteFile(page, []byte(wanted), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if wanted != string(b) {
		t.Errorf("the table of %s is not that of the registry: go test ./internal/metrics -update", page)
	}
}

// TestThePageHasEveryReason holds the table of reasons.
func TestThePageHasEveryReason(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(b), namesBegin)
	if !ok {
		t.Fatalf("%s has no table of reasons", page)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var got []string
	for line := range strings.Lines(table) {
		got = append(got, strings.Split(line, "`")[1])
	}
	var wanted []string
	for _, r := range metrics.Refusals() {
		wanted = append(wanted, string(r))
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("the page has\n%v\nthe code has\n%v", got, wanted)
	}
}

func labelsOf(f *dto.MetricFamily) string {
	names := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			names["`"+l.GetName()+"`"] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), " ")
}

// No label may have as many values as there are users, conversations or addresses.
func TestLabelsAreAFixedSet(t *testing.T) {
	allowed := []string{"category", "from", "reason", "dry_run", "verdict", "result", "endpoint", "direction", "stream", "state", "version", "revision", "goversion"}
	for name, f := range families(t, fresh(metrics.Options{Sources: allSources()})) {
		if !strings.HasPrefix(name, "statuswire_") {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(allowed, l.GetName()) {
					t.Errorf("%s has the label %s: bound its values, then add it here", name, l.GetName())
				}
			}
		}
	}
}
