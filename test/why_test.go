//go:build e2e

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// explanation is what `why --json` prints.
type explanation struct {
	User    string `json:"user"`
	Subject string `json:"subject"`
	Action  string `json:"action"`
	Steps   []struct {
		Step  string `json:"step"`
		Found string `json:"found"`
		From  string `json:"from"`
	} `json:"steps"`
	Allowed  bool   `json:"allowed"`
	Answer   string `json:"answer"`
	Sessions []struct {
		ID      uint64 `json:"id"`
		Allowed bool   `json:"allowed"`
		Answer  string `json:"answer"`
	} `json:"sessions"`
}

// step is what the step found.
func (x explanation) step(name string) string {
	for _, s := range x.Steps {
		if s.Step == name {
			return s.Found
		}
	}
	return ""
}

func explain(t *testing.T, s *statuswire, args ...string) explanation {
	t.Helper()
	var x explanation
	out := s.run(t, append([]string{"why", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &x); err != nil {
		t.Fatalf("why printed %q: %v", out, err)
	}
	return x
}

// ask sends one operation and returns the text of its -ERR, "" when there is none.
func (b *browser) ask(t *testing.T, operation string) string {
	t.Helper()
	b.send(t, operation+"\r\nPING\r\n")
	answer := ""
	for {
		switch line := b.line(t); {
		case line == "PONG":
			return answer
		case strings.HasPrefix(line, "-ERR '"):
			answer = strings.TrimSuffix(strings.TrimPrefix(line, "-ERR '"), "'")
		}
	}
}

// noSessions waits until the user has none, so that the next case is by itself.
func (s *statuswire) noSessions(t *testing.T, user string) {
	t.Helper()
	for deadline := time.Now().Add(browserTimeout); s.run(t, "session", "list", "--user", user) != "no sessions"; {
		if time.Now().After(deadline) {
			t.Fatalf("%s is still connected", user)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestWhyIsRight has each case explained before the browser connects and after it,
// and compares with what the browser then gets, word for word.
func TestWhyIsRight(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice", "--member", "bob", "--category", "deploy")
	s.run(t, "conversation", "create", "wide", "--owner", "alice", "--category", "a1", "--category", "a2", "--category", "a3", "--category", "a4", "--category", "a5")
	for _, tt := range []struct {
		name    string
		user    string
		action  string // "" for subscribe
		subject string
		queue   string
		allowed bool
		because string // in the step of membership, grant or limits
	}{
		{"the owner", "alice", "", "status.c1.engine", "", true, `"alice" owns "c1"`},
		{"a member", "bob", "", "status.c1.deploy", "", true, `"bob" is a member of "c1", which "alice" owns`},
		{"a member in a queue group", "bob", "", "status.c1.engine", "workers", true, "is a member"},
		{"a stranger", "mallory", "", "status.c1.engine", "", false, "neither the owner"},
		{"an unknown conversation", "alice", "", "status.nope.engine", "", false, `there is no conversation "nope"`},
		{"an unknown category", "alice", "", "status.c1.nonsense", "", true, `"nonsense" is none of its categories`},
		{"a wildcard over one conversation", "alice", "", "status.c1.*", "", true, "owns"},
		{"a wildcard over more categories than the limit", "alice", "", "status.wide.*", "", false, "categories is hit"},
		{"a wildcard over all conversations", "alice", "", "status.*.engine", "", false, "no single conversation"},
		{"everything", "alice", "", ">", "", false, "no single conversation"},
		{"a wildcard over all that follows", "alice", "", "status.c1.>", "", true, "owns"},
		{"more tokens than a status has", "alice", "", "status.c1.engine.x", "", false, "does not allow"},
		{"presence as a member", "bob", "", "presence.c1", "", true, "is a member"},
		{"presence as a stranger", "mallory", "", "presence.c1", "", false, "neither the owner"},
		{"an inbox", "mallory", "", "_INBOX.abc.*", "", true, "no single conversation"},
		{"another part's inbox", "alice", "", "_INBOX_gateway.>", "", false, "does not allow"},
		{"the server's own subjects", "alice", "", "$SYS.>", "", false, "does not allow"},
		{"the stream's interface", "alice", "publish", "$JS.API.STREAM.PURGE.STATUS", "", false, "does not allow"},
		{"the queue group that is the server's", "alice", "", "status.c1.engine", "_sys_", false, ""},
		{"a join as the owner", "alice", "", "edge.c1.join", "", true, "allows to publish"},
		{"a join as a stranger", "mallory", "", "edge.c1.join", "", false, "neither the owner"},
		{"a join in another's name", "bob", "", "edge.c1.join.alice", "", false, "does not allow"},
		{"publishing a status", "alice", "publish", "status.c1.engine", "", false, "does not allow to publish"},
		{"listening to requests", "alice", "subscribe", "edge.c1.join", "", false, "does not allow"},
		{"the own subscriptions", "bob", "", "gateway.subscriptions", "", true, "allows to publish"},
		{"the operators' service", "alice", "publish", "admin.why", "", false, "does not allow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"--user", tt.user, "--subject", tt.subject}
			operation := "SUB " + tt.subject + " 9"
			if tt.queue != "" {
				args = append(args, "--queue", tt.queue)
				operation = "SUB " + tt.subject + " " + tt.queue + " 9"
			}
			if tt.action != "" {
				args = append(args, "--action", tt.action)
			}
			before := explain(t, s, args...)
			if before.Action == "publish" {
				operation = "PUB " + tt.subject + " _INBOX.none 0\r\n"
			}
			b := openBrowser(t, s)
			b.logIn(t, s.run(t, "token", "--user", tt.user), nil)
			connected := explain(t, s, args...)
			got := b.ask(t, operation)
			for when, x := range map[string]explanation{"before the login": before, "after it": connected} {
				if x.Allowed != (got == "") || x.Answer != got {
					t.Errorf("%s: explained %v %q, the browser got %q", when, x.Allowed, x.Answer, got)
				}
				if why := x.step("membership") + x.step("grant") + x.step("limits"); !strings.Contains(why, tt.because) {
					t.Errorf("%s: explained with %q, want %q in it", when, why, tt.because)
				}
			}
			if (got == "") != tt.allowed {
				t.Errorf("the browser got %q", got)
			}
			if len(before.Sessions) != 0 || len(connected.Sessions) != 1 {
				t.Errorf("%d sessions before the login, %d after it", len(before.Sessions), len(connected.Sessions))
			}
			b.conn.Close()
			s.noSessions(t, tt.user)
		})
	}
}

var secondsToWait = regexp.MustCompile(`\d+ s$`)

// TestWhyAtALimit has each limit explained right before it is met and right after.
func TestWhyAtALimit(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "statuswire.conf")
	if err := os.WriteFile(conf, []byte("limits { subscriptions: 12 }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startStatuswireIn(t, dir, "--config", conf)
	for _, tt := range []struct {
		name, user string
		n          int // operations that pass
		operation  func(i int) (op, subject string)
		because    string
	}{
		{"categories", "carla", 10, func(i int) (string, string) {
			subject := fmt.Sprintf("status.carla.x%d", i)
			return fmt.Sprintf("SUB %s %d", subject, i), subject
		}, "categories 10 of 10, subscription_changes 10 of 30, grant_changes 1 of 120: categories is hit"},
		{"subscriptions", "susan", 12, func(i int) (string, string) {
			subject := fmt.Sprintf("_INBOX.%d", i)
			return fmt.Sprintf("SUB %s %d", subject, i), subject
		}, "subscriptions 12 of 12"},
		{"changes", "chang", 15, func(i int) (string, string) {
			return fmt.Sprintf("SUB status.chang.engine %d\r\nUNSUB %d", i, i), "status.chang.engine"
		}, "subscription_changes 30 of 30"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.run(t, "conversation", "create", tt.user, "--owner", tt.user)
			b := openBrowser(t, s)
			b.logIn(t, s.run(t, "token", "--user", tt.user), nil)
			for i := range tt.n {
				op, subject := tt.operation(i)
				if i == tt.n-1 {
					if x := explain(t, s, "--user", tt.user, "--subject", subject); !x.Allowed {
						t.Fatalf("before the last one: %q", x.Answer)
					}
				}
				if got := b.ask(t, op); got != "" {
					t.Fatalf("%d: %s", i, got)
				}
			}
			op, subject := tt.operation(tt.n)
			x := explain(t, s, "--user", tt.user, "--subject", subject)
			got := b.ask(t, strings.SplitN(op, "\r\n", 2)[0])
			if got == "" || x.Allowed || secondsToWait.ReplaceAllString(x.Answer, "") != secondsToWait.ReplaceAllString(got, "") {
				t.Errorf("explained %v %q, the browser got %q", x.Allowed, x.Answer, got)
			}
			if !strings.Contains(x.step("limits"), tt.because) {
				t.Errorf("the limits are said to be %q, want %q in it", x.step("limits"), tt.because)
			}
		})
	}
}

// TestWhyForPeople reads what `why` prints without --json.
func TestWhyForPeople(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	out := s.run(t, "why", "--user", "alice", "--subject", "status.c1.engine")
	for _, want := range []string{
		`user        "alice" is not connected: what follows is for the next connection`,
		`membership  "alice" owns "c1"`,
		`              from: directory entry "c1"`,
		`grant       the grant of the next connection would grow by a join: then it covers "c1" until `,
		`              from: what the callout would sign now`,
		`limits      the next connection: subscriptions 0 of 64, categories 0 of 10, subscription_changes 0 of 30, grant_changes 0 of 120: none is hit`,
		`verdict     allowed`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it did not print %q:\n%s", want, out)
		}
	}
}
