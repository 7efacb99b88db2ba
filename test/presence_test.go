//go:build e2e

package test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// attendant is a browser that follows who is present. It reads all the time, as a
// tab does.
type attendant struct {
	*browser
	answers chan string

	mu      sync.Mutex     // guards what follows
	members map[string]int // connections by user, from presence.c1
	left    []string       // users of whom a leave was announced
}

func attend(t *testing.T, s *statuswire, user string) *attendant {
	t.Helper()
	b := openBrowser(t, s)
	b.logIn(t, s.run(t, "token", "--user", user), nil)
	b.send(t, "SUB presence.c1 1\r\nSUB status.c1.engine 2\r\nSUB _INBOX.x 3\r\nPING\r\n")
	if line := b.line(t); line != "PONG" {
		t.Fatalf("got %q", line)
	}
	a := &attendant{browser: b, answers: make(chan string, 1), members: map[string]int{}}
	if err := b.conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go a.read() // ends with the socket, or by die
	return a
}

func (a *attendant) read() {
	for {
		line, err := a.lines.ReadString('\n')
		if err != nil {
			return
		}
		inbox := strings.HasPrefix(line, "MSG _INBOX.x ")
		if !inbox && !strings.HasPrefix(line, "MSG presence.c1 ") {
			continue
		}
		body, err := a.lines.ReadString('\n')
		if err != nil {
			return
		}
		if inbox {
			a.answers <- body
			continue
		}
		a.apply(body)
	}
}

// apply takes an announcement, as docs/protocol.md says.
func (a *attendant) apply(body string) {
	var said struct {
		Reset bool
		Joins []struct {
			User        string
			Connections int
		}
		Leaves []struct{ User string }
	}
	if json.Unmarshal([]byte(body), &said) != nil {
		return // the lists will differ
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if said.Reset {
		clear(a.members)
	}
	for _, m := range said.Joins {
		a.members[m.User] = m.Connections
	}
	for _, m := range said.Leaves {
		delete(a.members, m.User)
		a.left = append(a.left, m.User)
	}
}

// die is the death of the network: nothing is read any more, no ping answered,
// and no FIN sent.
func (a *attendant) die(t *testing.T) {
	t.Helper()
	if err := a.conn.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
}

func (a *attendant) announced() (members map[string]int, left []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.members), slices.Clone(a.left)
}

// list asks who is present.
func (a *attendant) list(t *testing.T) map[string]int {
	t.Helper()
	a.send(t, "PUB edge.c1.presence _INBOX.x 0\r\n\r\n")
	var list struct {
		Members []struct {
			User        string
			Connections int
		}
	}
	select {
	case answer := <-a.answers:
		if err := json.Unmarshal([]byte(answer), &list); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
	case <-time.After(browserTimeout):
		t.Fatal("nobody says who is present")
	}
	found := map[string]int{}
	for _, m := range list.Members {
		found[m.User] = m.Connections
	}
	return found
}

// converge waits until the list and what each watcher made of the announcements
// are as wanted.
func converge(t *testing.T, what string, want map[string]int, watchers ...*attendant) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for _, w := range watchers {
		for {
			list := w.list(t)
			said, _ := w.announced()
			if maps.Equal(list, want) && maps.Equal(said, want) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the list is %v, the announcements say %v, want %v", what, list, said, want)
			}
			time.Sleep(50 * time.Millisecond) // between two questions
		}
	}
}

// TestWhoIsPresent has three browsers of two users come, reload, and leave by a
// close, by the death of their network and by the death of the server.
func TestWhoIsPresent(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "statuswire.conf")
	if err := os.WriteFile(conf, []byte("keepalive { ping_interval: 1s, pong_timeout: 1s }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startStatuswireIn(t, dir, "--config", conf)
	s.run(t, "conversation", "create", "c1", "--owner", "alice", "--member", "bob")

	first, second, bob := attend(t, s, "alice"), attend(t, s, "alice"), attend(t, s, "bob")
	converge(t, "three have come", map[string]int{"alice": 2, "bob": 1}, first, second, bob)

	bob.conn.Close()
	bob = attend(t, s, "bob")
	converge(t, "one has reloaded", map[string]int{"alice": 2, "bob": 1}, first, second, bob)

	second.conn.Close()
	converge(t, "one has closed", map[string]int{"alice": 1, "bob": 1}, first, bob)
	if _, left := first.announced(); len(left) > 0 {
		t.Fatalf("a leave of %v was announced: a reload flaps", left)
	}

	bob.die(t)
	converge(t, "one network has died", map[string]int{"alice": 1}, first)
	if _, left := first.announced(); !slices.Equal(left, []string{"bob"}) {
		t.Fatalf("leaves of %v were announced", left)
	}

	s.Kill()
	s = startStatuswireIn(t, dir, "--config", conf)
	again := attend(t, s, "alice")
	converge(t, "the server has died and come back", map[string]int{"alice": 1}, again)
}
