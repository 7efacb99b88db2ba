//go:build e2e

package test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// refuseOrigin has a page of another origin turned away.
func refuseOrigin(t *testing.T, s *statuswire, origin string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.HTTP+"/v1/conversations/c1/history", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", origin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Fatalf("%s: %s", origin, resp.Status)
	}
}

// rawRecords reads a stream by the command that docs/audit.md names.
func rawRecords(t *testing.T, cli natsCLI, stream, subjects string) (records []auditRecord) {
	t.Helper()
	for line := range strings.Lines(cli.run(t, "sub", "--stream", stream, subjects, "--all", "--terminate-at-end", "--raw")) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		r := auditRecord{text: line}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

func TestTheAuditIsReadWithTheNATSCommandLine(t *testing.T) {
	s := startStatuswire(t)
	cli := newNATSCLI(t, s)

	t.Run("live", func(t *testing.T) {
		heard := cli.hears(t, "audit.denied", func() { refuseOrigin(t, s, "https://evil.example") })
		wantIn(t, "nats sub", heard, `"kind":"denied"`, `"origin":"https://evil.example"`, `"address":"127.0.0.1"`, `"code":403`)
	})

	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	s.run(t, "conversation", "add", "c1", "--member", "bob")
	s.run(t, "conversation", "add", "c1", "--member", "bob2")
	s.run(t, "conversation", "remove", "c1", "--member", "bob")
	s.wantAct(t, `"kind":"member_removed"`)
	acts := rawRecords(t, cli, "AUDIT_ADMIN", "audit.admin.*")
	var kinds []string
	for _, r := range acts {
		kinds = append(kinds, r.Kind)
		if r.Count != 1 || r.Actor != "operator" || r.Reason == "" || !strings.Contains(r.text, `"conversation":"c1"`) {
			t.Errorf("an act: %s", r.text)
		}
	}
	if want := []string{"conversation_created", "member_added", "member_added", "member_removed"}; !slices.Equal(kinds, want) {
		t.Errorf("the acts are %v, want %v", kinds, want)
	}
	denials := rawRecords(t, cli, "AUDIT", "audit.*")
	if len(denials) == 0 || denials[0].Kind != "denied" {
		t.Errorf("denials: %+v", denials)
	}
	if removed := rawRecords(t, cli, "AUDIT_ADMIN", "audit.admin.member_removed"); len(removed) != 1 || removed[0].User != "bob" {
		t.Errorf("of one kind: %+v", removed)
	}
	wantIn(t, "nats stream view", viewStream(t, cli, "AUDIT_ADMIN"), "audit.admin.conversation_created", `"user":"bob"`)
	wantIn(t, "nats stream info", cli.run(t, "stream", "info", "AUDIT_ADMIN"), "audit.admin.*")
	wantIn(t, "nats stream get", cli.run(t, "stream", "get", "AUDIT_ADMIN", "1"), `"kind":"conversation_created"`)

	t.Run("and nobody takes a record away", func(t *testing.T) {
		for _, stream := range []string{"AUDIT", "AUDIT_ADMIN"} {
			for _, as := range []string{"operator", "service", "system"} {
				for _, args := range [][]string{
					{"stream", "rm", stream, "--force"},
					{"stream", "purge", stream, "--force"},
					{"stream", "rmm", stream, "1", "--force"},
					{"stream", "edit", stream, "--max-age=1s", "--max-msgs=1", "--force"},
					{"stream", "seal", stream, "--force"},
				} {
					_, _ = cli.try(t, append([]string{"--context", as, "--timeout=300ms"}, args...)...)
				}
			}
		}
		if again := rawRecords(t, cli, "AUDIT_ADMIN", "audit.admin.*"); !slices.Equal(again, acts) {
			t.Errorf("the acts are %+v now, they were %+v", again, acts)
		}
		again := rawRecords(t, cli, "AUDIT", "audit.*")
		if len(again) < len(denials) || !slices.Equal(again[:len(denials)], denials) {
			t.Errorf("the denials are %+v now, they were %+v", again, denials)
		}
		s.run(t, "conversation", "delete", "c1")
		s.wantAct(t, `"kind":"conversation_deleted"`) // they take more
	})
}

// After a crash each record that was written is there, what waited is not, and the
// counts are a lower bound.
func TestAfterACrashTheAuditHasWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	s := startStatuswireIn(t, dir)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	s.wantAct(t, `"kind":"conversation_created"`)
	const each = 5
	refuse := func(origin string) {
		t.Helper()
		for range each {
			refuseOrigin(t, s, origin)
		}
	}
	count := func(records []auditRecord) (n int) {
		for _, r := range records {
			n += r.Count
		}
		return n
	}
	refuse("https://before.example")
	s.wantAudit(t, `"origin":"https://before.example"`)
	before := auditOf(t, s)
	refuse("https://last.example")
	s.Kill()

	s = startStatuswireIn(t, dir)
	after := auditOf(t, s)
	for _, r := range before {
		if !slices.Contains(after, r) {
			t.Errorf("the crash has taken %s", r.text)
		}
	}
	if n := count(after); n < count(before) || n > 1+2*each {
		t.Errorf("the counts add up to %d, they were %d of %d before the last %d", n, count(before), 1+each, each)
	}
	refuse("https://after.example")
	s.wantAudit(t, `"origin":"https://after.example"`)
}
