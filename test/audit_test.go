//go:build e2e

package test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// auditRecord is one record of the streams AUDIT and AUDIT_ADMIN, as docs/audit.md
// describes it.
type auditRecord struct {
	Kind    string `json:"kind"`
	Count   int    `json:"count"`
	User    string `json:"user"`
	Address string `json:"address"`
	Subject string `json:"subject"`
	Limit   string `json:"limit"`
	Reason  string `json:"reason"`
	Code    int    `json:"code"`
	DryRun  bool   `json:"dry_run"`
	Actor   string `json:"actor"`

	text string
}

// auditOf reads the streams AUDIT and AUDIT_ADMIN with the operator's key.
func auditOf(t *testing.T, s *statuswire) []auditRecord {
	t.Helper()
	js, err := jetstream.New(connectAs(t, s, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	return append(recordsIn(t, js, "AUDIT", "audit."), recordsIn(t, js, "AUDIT_ADMIN", "audit.admin.")...)
}

// recordsIn reads one of them, whose subjects are the prefix and the kind.
func recordsIn(t *testing.T, js jetstream.JetStream, name, prefix string) []auditRecord {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var records []auditRecord
	state := stream.CachedInfo().State
	for seq := max(1, state.FirstSeq); seq <= state.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatalf("record %d: %v", seq, err)
		}
		r := auditRecord{text: string(m.Data)}
		if err := json.Unmarshal(m.Data, &r); err != nil {
			t.Fatalf("record %d: %v", seq, err)
		}
		if m.Subject != prefix+r.Kind {
			t.Errorf("record %d of kind %q is on %s", seq, r.Kind, m.Subject)
		}
		records = append(records, r)
	}
	return records
}

// flushedAudit stops the server, which writes what waits, and reads the audit
// through a new one on the same data folder.
func flushedAudit(t *testing.T, s *statuswire) []auditRecord {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
	return auditOf(t, startStatuswireIn(t, s.DataDir))
}

// ledger is what tests have provoked, and what the audit must hold because of it.
type ledger struct {
	want    map[auditKey]int
	secrets []string
}

// auditKey is what makes events one: who, and what.
type auditKey struct {
	who, kind, limit, subject string
	dry                       bool
}

func (k auditKey) String() string {
	dry := ""
	if k.dry {
		dry = " (dry run)"
	}
	return fmt.Sprintf("%s: %s %s %.80s%s", k.who, k.kind, k.limit, k.subject, dry)
}

// maxSubject is how much of a subject is compared: a record may cut a long one.
const maxSubject = 400

func keyOf(r auditRecord) auditKey {
	return auditKey{cmp.Or(r.User, r.Address), r.Kind, r.Limit, r.Subject[:min(len(r.Subject), maxSubject)], r.DryRun}
}

func newLedger() *ledger { return &ledger{want: map[auditKey]int{}} }

// expect notes one event.
func (l *ledger) expect(r auditRecord) { l.want[keyOf(r)] += max(1, r.Count) }

// ledgerFile is where the Node tests note what they provoke: test/node/ledger.mjs.
func ledgerFile(t *testing.T) string { return filepath.Join(t.TempDir(), "ledger") }

// read takes what Node tests have noted.
func (l *ledger) read(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var entry struct {
			auditRecord
			Secret string `json:"secret"`
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if entry.Secret != "" {
			l.secrets = append(l.secrets, entry.Secret)
			continue
		}
		l.expect(entry.auditRecord)
	}
}

// check compares: of everybody in the ledger the audit holds each event, once or
// in the count of a folded record, and no other.
func (l *ledger) check(t *testing.T, records []auditRecord) {
	t.Helper()
	known := map[string]bool{}
	for k := range l.want {
		known[k.who] = true
	}
	got := map[auditKey]int{}
	for _, r := range records {
		k := keyOf(r)
		if !known[k.who] || r.Actor != "" && r.Kind != "kicked" {
			continue // what administrators did to them
		}
		if subjects := strings.Fields(r.Subject); r.Kind == "revoked" && len(subjects) == r.Count {
			for _, k.subject = range subjects { // all that a connection has lost of a conversation
				got[k]++
			}
		} else {
			got[k] += r.Count
		}
		if r.Address != "127.0.0.1" && !strings.HasPrefix(r.Address, "192.0.2.") {
			t.Errorf("no address where it came from: %s", r.text)
		}
		if r.Reason == "" && r.Kind != "refused" && !r.DryRun { // a subject outside of all has no reason
			t.Errorf("no reason: %s", r.text)
		}
	}
	all := maps.Clone(l.want)
	maps.Copy(all, got)
	events := 0
	for _, k := range slices.SortedFunc(maps.Keys(all), func(a, b auditKey) int { return cmp.Compare(a.String(), b.String()) }) {
		if got[k] != l.want[k] {
			t.Errorf("%v: the audit has %d, want %d", k, got[k], l.want[k])
		}
		events += got[k]
	}
	t.Logf("%d events of %d users and addresses in the audit, %d records in all", events, len(known), len(records))
}

// noSecretIn looks for tokens, seeds and the token secret, or pieces of them.
func (l *ledger) noSecretIn(t *testing.T, s *statuswire, where, text string) {
	t.Helper()
	secrets := slices.Clone(l.secrets)
	for _, pattern := range []string{"*.nk", "*.secret"} {
		files, err := filepath.Glob(filepath.Join(s.DataDir, "keys", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no keys like %s: %v", pattern, err)
		}
		for _, file := range files {
			key, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			secrets = append(secrets, strings.TrimSpace(string(key)))
		}
	}
	for _, secret := range secrets {
		for piece := range strings.SplitSeq(secret, ".") {
			if len(piece) > 16 && strings.Contains(text, piece[:16]) {
				t.Errorf("%s has a piece of a secret: %.6s…", where, piece)
			}
		}
	}
}

// noSecrets looks into the audit, the log and, while it runs, the metrics.
func (l *ledger) noSecrets(t *testing.T, s *statuswire, metrics string, records []auditRecord) {
	t.Helper()
	if len(l.secrets) == 0 {
		t.Error("no token was noted")
	}
	for _, r := range records {
		l.noSecretIn(t, s, "a record", r.text)
	}
	l.noSecretIn(t, s, "the log", s.Log())
	l.noSecretIn(t, s, "/metrics", metrics)
}

// metricsText is what /metrics says.
func metricsText(t testing.TB, s *statuswire) string {
	t.Helper()
	res, err := http.Get(s.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v", res.Status, err)
	}
	return string(text)
}

// figures reads the samples of a text by their names with labels, as written.
func figures(t testing.TB, text string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all[line[:i]] = v
	}
	return all
}
