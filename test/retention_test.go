//go:build e2e

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// stored is the number of statuses in the stream, as an operator sees it.
func (s *statuswire) stored(t *testing.T) uint64 {
	t.Helper()
	js, err := jetstream.New(connectAs(t, s, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "STATUS")
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

func TestALowerRetentionDropsStatusesOnlyWhenToldTo(t *testing.T) {
	dir := t.TempDir()
	s := startStatuswireIn(t, dir)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	js, err := jetstream.New(connectAs(t, s, "service"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		for _, category := range []string{"engine", "tool"} {
			if _, err := js.Publish(t.Context(), "status.c1."+category, fmt.Appendf(nil, `{"text":"step %d"}`, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	keep := func(perSubject int) string {
		conf := filepath.Join(t.TempDir(), "statuswire.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, "retention { max_per_subject: %d }\n", perSubject), 0o600); err != nil {
			t.Fatal(err)
		}
		return conf
	}

	s = startStatuswireIn(t, dir, "--config", keep(30))
	if n := s.stored(t); n != 60 {
		t.Errorf("with room for exactly what is stored, %d of 60 are left", n)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	refused := launch(t, dir, "--config", keep(29))
	select {
	case <-refused.ended:
	case <-time.After(startTimeout):
		refused.Kill()
		t.Fatal("it started")
	}
	if code := refused.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	want := "retention would drop stored statuses: max_per_subject 29: 2 of 60 stored statuses would go, " +
		"on 2 subjects, of which one has 30: raise the limits, or add --allow-shrink to drop them"
	if !strings.Contains(refused.Log(), want) {
		t.Errorf("it does not say %q:\n%s", want, refused.Log())
	}

	s = startStatuswireIn(t, dir, "--config", keep(29), "--allow-shrink")
	if n := s.stored(t); n != 58 {
		t.Errorf("%d statuses are left, want 58", n)
	}
	if !strings.Contains(s.Log(), "statuses=2 left=58") {
		t.Errorf("the log does not say how much went:\n%s", s.Log())
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = startStatuswireIn(t, dir, "--config", keep(29)) // it is the stream's limit now
	if n := s.stored(t); n != 58 {
		t.Errorf("%d statuses are left, want 58", n)
	}
}
