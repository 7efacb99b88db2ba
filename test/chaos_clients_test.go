//go:build e2e

package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// chaosLog is what all clients of the chaos test have been told so far.
type chaosLog struct {
	mu         sync.Mutex // guards what follows
	clients    map[string]*chaosClient
	newest     map[string]map[string]uint64 // client → subject → the highest number
	ready      map[string]bool
	reconnects int
}

func newChaosLog(clients []*chaosClient) *chaosLog {
	l := &chaosLog{clients: map[string]*chaosClient{}, newest: map[string]map[string]uint64{}, ready: map[string]bool{}}
	for _, c := range clients {
		c.got, c.gaps = map[string][]arrival{}, map[string]uint64{}
		l.clients[c.name], l.newest[c.name] = c, map[string]uint64{}
	}
	return l
}

// said is one thing that a client tells: a status, a gap, or one of the rest.
type said struct {
	Client      string `json:"client"`
	Subject     string `json:"subject"`
	N           uint64 `json:"n"`
	Seq         uint64 `json:"seq"`
	First       uint64 `json:"first"` // of a gap: the first sequence that can be had
	Ready       bool   `json:"ready"`
	Reconnected bool   `json:"reconnected"`
	Wrong       string `json:"wrong"`
}

func (l *chaosLog) add(s said) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[s.Client]
	switch {
	case c == nil:
		return fmt.Errorf("there is no client %q", s.Client)
	case s.Wrong != "":
		c.wrong = append(c.wrong, s.Wrong)
	case s.Ready:
		l.ready[s.Client] = true
	case s.Reconnected:
		l.reconnects++
	case s.First > 0:
		c.gaps[s.Subject] = max(c.gaps[s.Subject], s.First)
	default:
		c.got[s.Subject] = append(c.got[s.Subject], arrival{n: s.N, seq: s.Seq})
		l.newest[s.Client][s.Subject] = max(l.newest[s.Client][s.Subject], s.N)
	}
	return nil
}

func (l *chaosLog) allReady() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ready) == len(l.clients)
}

// behind is the number of clients that have neither got the last status of each of
// their subjects nor been told that it is gone.
func (l *chaosLog) behind(acked map[string][]uint64) (count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, c := range l.clients {
		for _, subject := range c.subjects {
			last := len(acked[subject])
			if last > 0 && l.newest[name][subject] < uint64(last) && acked[subject][last-1] >= c.gaps[subject] {
				count++
				break
			}
		}
	}
	return count
}

// plannedClient is a client as a Node program is told of it.
type plannedClient struct {
	Name          string              `json:"name"`
	Token         string              `json:"token"`
	Library       string              `json:"library,omitempty"`       // of an unmodified one
	Subjects      []string            `json:"subjects,omitempty"`      // of an unmodified one
	Covered       map[string][]string `json:"covered"`                 // by a wildcard of Subjects
	Conversations map[string][]string `json:"conversations,omitempty"` // of ours, with their categories
	Quick         bool                `json:"quick,omitempty"`         // ours: tries sooner than by default
}

// startNodeClients runs a program of test/node with its clients, until the test
// ends. What it prints is the log's.
func startNodeClients(t *testing.T, log *chaosLog, program, url string, clients []plannedClient) {
	t.Helper()
	plan, err := json.Marshal(map[string]any{"url": url, "clients": clients})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(file, plan, 0o600); err != nil {
		t.Fatal(err)
	}
	startNode(t, func(from io.Reader) error { return readClients(from, log) }, program, file)
}

func readClients(from io.Reader, log *chaosLog) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var s said
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		if err := log.add(s); err != nil {
			return err
		}
	}
	return lines.Err()
}
