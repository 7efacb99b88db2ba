package bench_test

import (
	"strings"
	"testing"

	"github.com/statuswire/statuswire/bench"
)

func TestLoginsOfEachKindAreMeasuredAndEndAsTheyShould(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary and takes some seconds")
	}
	report, err := bench.RunJunk(t.Context(), bench.JunkOptions{Statuswire: build(t), Logins: 30, AtOnce: 4, Rounds: 2, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range report.Kinds {
		if len(row.Rounds) != 2 || row.Rounds[0].PerLogin <= 0 || row.Rounds[1].Rate <= 0 {
			t.Errorf("%+v", row)
		}
	}
	var text strings.Builder
	if err := report.Print(&text); err != nil || strings.Count(text.String(), "\n| ") != 4 {
		t.Errorf("%v: %s", err, text.String())
	}
}
