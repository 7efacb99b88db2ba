//go:build e2e

package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
)

// sessionInfo is what `session list --json` prints.
type sessionInfo struct {
	ID            uint64    `json:"id"`
	User          string    `json:"user"`
	Address       string    `json:"address"`
	ConnectedAt   time.Time `json:"connected_at"`
	Name          string    `json:"name"`
	Lang          string    `json:"lang"`
	Version       string    `json:"version"`
	Conversations []string  `json:"conversations"`
	Subscriptions []struct {
		Subject   string `json:"subject"`
		Delivered int    `json:"delivered"`
	} `json:"subscriptions"`
	Delivered           int `json:"delivered"`
	QueueBytes          int `json:"queue_bytes"`
	SubscriptionChanges int `json:"subscription_changes"`
}

func (s *statuswire) sessions(t *testing.T, args ...string) []sessionInfo {
	t.Helper()
	var list []sessionInfo
	for line := range strings.Lines(s.run(t, append([]string{"session", "list", "--json"}, args...)...)) {
		var i sessionInfo
		if err := json.Unmarshal([]byte(line), &i); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, i)
	}
	return list
}

func TestSessionsAreListedAndKicked(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice", "--member", "bob")
	if out := s.run(t, "session", "list"); out != "no sessions" {
		t.Fatalf("at first it prints %q", out)
	}
	token := s.run(t, "token", "--user", "alice")
	tab, bob := openBrowser(t, s), openBrowser(t, s)
	tab.logIn(t, token, map[string]any{"name": "first tab", "lang": "nats.ws", "version": "1.30.0"})
	bob.logIn(t, s.run(t, "token", "--user", "bob"), nil)
	tab.ask(t, "SUB status.c1.* 1\r\nSUB _INBOX.x 2")
	bob.ask(t, "SUB status.c1.engine 1")

	list := s.sessions(t)
	if len(list) != 2 || list[0].User != "alice" || list[1].User != "bob" {
		t.Fatalf("listed %+v", list)
	}
	got := list[0]
	if got.Name != "first tab" || got.Lang != "nats.ws" || got.Version != "1.30.0" || got.Address != "127.0.0.1" || time.Since(got.ConnectedAt).Abs() > time.Minute ||
		len(got.Conversations) != 1 || got.Conversations[0] != "c1" || len(got.Subscriptions) != 2 || got.Subscriptions[1].Subject != "status.c1.*" || got.SubscriptionChanges != 1 {
		t.Errorf("alice's is %+v", got)
	}
	if list := s.sessions(t, "--user", "bob"); len(list) != 1 || list[0].User != "bob" {
		t.Errorf("bob's are %+v", list)
	}
	if table := s.run(t, "session", "list"); !strings.HasPrefix(table, "ID  USER") || !strings.Contains(table, `nats.ws 1.30.0 "first tab"`) {
		t.Errorf("for people:\n%s", table)
	}
	if shown := s.run(t, "conversation", "show", "c1"); !strings.Contains(shown, "subscribers  2 connections of 2 users: engine 2, error 1, info 1, progress 1, tool 1, workflow 1") {
		t.Errorf("shown:\n%s", shown)
	}

	if out := s.run(t, "session", "kick", "--user", "alice", "--reason", "please log in again"); out != "closed the connections of alice (1)" {
		t.Errorf("kick printed %q", out)
	}
	if why := tab.closed(t); why.Code != 1001 || why.Reason != "please log in again" {
		t.Errorf("closed with %+v", why)
	}
	if refused := bob.ask(t, "SUB status.c1.tool 2"); refused != "" {
		t.Errorf("bob was refused: %s", refused)
	}
	again := openBrowser(t, s)
	again.logIn(t, token, nil)
	if refused := again.ask(t, "SUB status.c1.* 1"); refused != "" {
		t.Errorf("after the kick: %s", refused)
	}
	for _, want := range []string{
		`"kind":"kicked","count":1,"user":"alice","address":"127.0.0.1"`,
		`"kind":"sessions_ended","count":1,"user":"alice","reason":"sessions ended: 1: please log in again","actor":"operator"`,
		`"kind":"conversation_created","count":1,"user":"alice","conversation":"c1","reason":"conversation created, members: bob","actor":"operator"`,
	} {
		s.wantAct(t, want)
	}
}

// closed reads to the close frame.
func (b *browser) closed(t *testing.T) wsutil.ClosedError {
	t.Helper()
	if err := b.conn.SetReadDeadline(time.Now().Add(browserTimeout)); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := b.lines.ReadString('\n')
		var closed wsutil.ClosedError
		if errors.As(err, &closed) {
			return closed
		}
		if err != nil {
			t.Fatalf("no close frame: %v", err)
		}
	}
}

// wantAct waits for a record in the stream AUDIT_ADMIN that has the text.
func (s *statuswire) wantAct(t *testing.T, text string) {
	t.Helper()
	s.wantRecord(t, "AUDIT_ADMIN", text)
}

// wantAudit waits for a record in the stream AUDIT that has the text.
func (s *statuswire) wantAudit(t *testing.T, text string) {
	t.Helper()
	s.wantRecord(t, "AUDIT", text)
}

func (s *statuswire) wantRecord(t *testing.T, stream, text string) {
	t.Helper()
	s.record(t, stream, text)
}

// record waits for a record in the stream that has the text.
func (s *statuswire) record(t *testing.T, stream, text string) string {
	t.Helper()
	nc := connectAs(t, s, "operator")
	var records []string
	for deadline := time.Now().Add(browserTimeout); time.Now().Before(deadline); {
		m, err := nc.Request("$JS.API.DIRECT.GET."+stream, fmt.Appendf(nil, `{"seq":%d}`, len(records)+1), time.Second)
		if err != nil || m.Header.Get("Status") != "" {
			time.Sleep(50 * time.Millisecond) // it is on its way, or waits for more of its kind
			continue
		}
		if records = append(records, string(m.Data)); strings.Contains(string(m.Data), text) {
			return string(m.Data)
		}
	}
	t.Errorf("no record has %s; there are\n%s", text, strings.Join(records, "\n"))
	return ""
}

func TestACategoryComesAndGoesWhileBrowsersListen(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	b := openBrowser(t, s)
	b.logIn(t, s.run(t, "token", "--user", "alice"), nil)
	b.ask(t, "SUB status.c1.* 1\r\nSUB _INBOX.j 2")
	join := func() string {
		b.send(t, "PUB edge.c1.join _INBOX.j 0\r\n\r\n")
		for {
			if line := b.line(t); strings.HasPrefix(line, "{") {
				return line
			}
		}
	}
	if out := s.run(t, "conversation", "category", "add", "c1", "--category", "deploy"); out != "changed c1: categories engine, tool, workflow, progress, error, info, deploy" {
		t.Errorf("add printed %q", out)
	}
	if answer := join(); !strings.Contains(answer, `"deploy"`) {
		t.Errorf("the next join has %s", answer)
	}
	if table := s.run(t, "conversation", "show", "c1"); !strings.Contains(table, "deploy 1") {
		t.Errorf("shown:\n%s", table)
	}
	kept := conversations(t, s.command(t, "", "conversation", "show", "c1", "--json"))
	if again := s.command(t, s.run(t, "conversation", "show", "c1", "--json"), "conversation", "import", "-"); again.out != "created 0, updated 0, unchanged 1, failed 0\n" || len(kept) != 1 {
		t.Errorf("what show prints, import read as %+v", again)
	}
	s.run(t, "conversation", "category", "retire", "c1", "--category", "deploy")
	if answer := join(); strings.Contains(answer, `"deploy"`) {
		t.Errorf("after it was retired a join has %s", answer)
	}
	if got := s.command(t, "", "conversation", "category", "retire", "c1", "--category", "engine"); got.code != 1 || !strings.Contains(got.err, "cannot be retired") {
		t.Errorf("retiring a default category: %+v", got)
	}
}
