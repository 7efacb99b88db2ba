//go:build e2e

package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestTheFiguresAgreeWithAScriptedSession compares /metrics and the audit with
// what a few browsers and a service did, exactly.
func TestTheFiguresAgreeWithAScriptedSession(t *testing.T) {
	s := startStatuswire(t)
	l := newLedger()
	s.run(t, "conversation", "create", "c1", "--owner", "alice", "--member", "bob", "--category", "build")
	s.run(t, "conversation", "create", "c2", "--owner", "bob")
	token := func(user string) string {
		text := s.run(t, "token", "--user", user)
		l.secrets = append(l.secrets, text)
		return text
	}
	alice, bob := token("alice"), token("bob")
	logIn := func(token string) *browser {
		b := openBrowser(t, s)
		b.logIn(t, token, nil)
		return b
	}
	// ask sends lines and reads up to the PONG: the -ERRs in between.
	ask := func(b *browser, lines ...string) (refused []string) {
		b.send(t, strings.Join(append(lines, "PING", ""), "\r\n"))
		for line := b.line(t); line != "PONG"; line = b.line(t) {
			if strings.HasPrefix(line, "-ERR") {
				refused = append(refused, line)
			}
		}
		return refused
	}
	first, second, third := logIn(alice), logIn(alice), logIn(bob)
	ask(first, "SUB status.c1.engine 1", "SUB status.c1.* 2")
	ask(second, "SUB status.c1.build 1")
	ask(third, "SUB status.c1.* 1", "SUB status.c2.tool 2")

	js := serviceJetStream(t, s)
	for subject, n := range map[string]int{"status.c1.engine": 7, "status.c1.build": 3, "status.c2.tool": 2, "status.c2.info": 4} {
		for i := range n {
			if _, err := js.Publish(subject, fmt.Appendf(nil, `{"text":"%d"}`, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, bad := range []string{"status.c1.nonsense", "status.nowhere.engine"} {
		if _, err := js.Publish(bad, []byte(`{"text":"x"}`)); err == nil {
			t.Fatalf("%s was taken", bad)
		}
	}

	// Refused: two strangers' conversations, one subject, one publish, three categories.
	for _, r := range []struct{ line, subject, kind, limit string }{
		{"SUB status.c2.engine 11", "status.c2.engine", "refused", ""},
		{"SUB status.c3.* 12", "status.c3.*", "refused", ""},
		{"SUB submit.> 13", "submit.>", "refused", ""},
		{"PUB status.c1.engine 2\r\n{}", "status.c1.engine", "refused", ""},
	} {
		if got := ask(second, r.line); len(got) != 1 || !strings.Contains(got[0], `"`+r.subject+`"`) {
			t.Fatalf("%s: got %q", r.line, got)
		}
		l.expect(auditRecord{Kind: r.kind, Limit: r.limit, User: "alice", Subject: r.subject})
	}
	s.run(t, "conversation", "create", "c4", "--owner", "bob")
	for range 3 { // bob has seven categories of c1 and one of c2
		if got := ask(third, "SUB status.c4.* 21"); len(got) != 1 || !strings.Contains(got[0], "it covers 6 more categories, and this connection has 8 of 10") {
			t.Fatalf("got %q", got)
		}
		l.expect(auditRecord{Kind: "limited", Limit: "categories", User: "bob", Subject: "status.c4.*"})
	}
	// Closed: an operation that is none, a payload that is too large, a bad token.
	for user, line := range map[string]string{"garbler": "NONSENSE\r\n", "loader": "PUB gateway.subscriptions 65537\r\n"} {
		b := logIn(token(user))
		b.send(t, line)
		want, kind, limit, code := "-ERR 'Unknown Protocol Operation'", "closed", "", 1008
		if user == "loader" {
			want, kind, limit, code = "-ERR 'Maximum Payload Violation: at most 65536 bytes'", "limited", "payload", 1009
		}
		if got := b.line(t); got != want {
			t.Errorf("%s: got %q, want %q", user, got, want)
		}
		if got := b.closeCode(); int(got) != code {
			t.Errorf("%s: closed with %d, want %d", user, got, code)
		}
		l.expect(auditRecord{Kind: kind, Limit: limit, User: user})
	}
	b := openBrowser(t, s)
	forged := alice[:len(alice)-6] + "AAAAAA"
	l.secrets = append(l.secrets, forged)
	b.send(t, `CONNECT {"auth_token":"`+forged+`"}`+"\r\n")
	if got := b.line(t); !strings.Contains(got, "wrong signature") {
		t.Errorf("got %q", got)
	}
	l.expect(auditRecord{Kind: "denied", Address: "127.0.0.1"})

	want := map[string]float64{
		`statuswire_deliveries_total{category="engine"}`:            7 * 3,
		`statuswire_deliveries_total{category="other"}`:             3 * 3, // build: first by its wildcard, second, third
		`statuswire_deliveries_total{category="tool"}`:              2,
		`statuswire_deliveries_total{category="info"}`:              0,
		refusals("conversation", "false"):                           2,
		refusals("permission", "false"):                             2,
		refusals("categories", "false"):                             3,
		refusals("protocol", "false"):                               1,
		refusals("payload", "false"):                                1,
		refusals("token", "false"):                                  1,
		refusals("categories", "true"):                              0,
		"statuswire_connections":                                    3,
		"statuswire_connection_duration_seconds_count":              3, // garbler, loader, the forged token
		"statuswire_slow_closes_total":                              0,
		"statuswire_submissions_total":                              7 + 3 + 2 + 4 + 2,
		`statuswire_publishes_total{result="forwarded"}`:            7 + 3 + 2 + 4,
		`statuswire_publishes_total{result="unknown_category"}`:     1,
		`statuswire_publishes_total{result="unknown_conversation"}`: 1,
		"statuswire_fanout_topics":                                  4,
		"statuswire_fanout_topics_kept":                             0,
		"statuswire_fanout_holes_failed_total":                      0,
	}
	var text string
	var got map[string]float64
	agrees := func() bool {
		text = metricsText(t, s)
		got = figures(t, text)
		for name, n := range want {
			if got[name] != n {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(5 * time.Second); !agrees() && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond) // those who were closed are about to be counted out
	}
	wantFigures(t, got, want)

	first.conn.Close()
	second.conn.Close()
	third.conn.Close()
	want["statuswire_connections"], want["statuswire_connection_duration_seconds_count"] = 0, 6
	want["statuswire_fanout_topics_kept"] = 4 // for who comes back
	want["statuswire_connection_subscription_changes_sum"] = 2 + 1 + 2
	for end := time.Now().Add(5 * time.Second); !agrees() && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	wantFigures(t, got, want)

	records := flushedAudit(t, s)
	l.check(t, records)
	l.noSecrets(t, s, text, records)
}
