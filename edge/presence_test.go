package edge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/status"
)

// crowd is a presence of n users in c1 and nobody elsewhere.
type crowd int

func (n crowd) List(c status.ConversationID) (list []presence.Member) {
	if c != "c1" {
		return nil
	}
	for i := range int(n) {
		list = append(list, presence.Member{
			User:        status.UserID(fmt.Sprintf("%04d<%s>", i, strings.Repeat(`"`, 240))),
			Connections: 1 + i%3,
			Since:       time.Unix(1_700_000_000, 0).UTC(),
		})
	}
	return list
}

// who asks for a conversation's presence.
func who(t *testing.T, nc *nats.Conn, subject string) (edge.Present, *status.Error, string) {
	t.Helper()
	m, err := nc.Request(subject, nil, soon)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	var body struct {
		edge.Present
		Error *status.Error `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &body); err != nil {
		t.Fatalf("%v in %s", err, m.Data)
	}
	return body.Present, body.Error, string(m.Data)
}

func TestPresenceIsAnsweredToThoseWhoMaySeeTheConversation(t *testing.T) {
	r := start(t, setup{presence: crowd(2)})
	for _, c := range []struct {
		name    string
		nc      *nats.Conn
		subject string
		users   int
		refused bool
	}{
		{"an operator", r.operator, "edge.c1.presence", 2, false},
		{"the owner", r.gateway, "edge.c1.presence.alice", 2, false},
		{"a member", r.gateway, "edge.c1.presence.bob", 2, false},
		{"a stranger", r.gateway, "edge.c1.presence.mallory", 0, true},
		{"a conversation without anybody", r.operator, "edge.c2.presence", 0, false},
		{"an unknown conversation", r.operator, "edge.c9.presence", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, refusal, body := who(t, c.nc, c.subject)
			if c.refused != (refusal != nil) || refusal != nil && !errors.Is(refusal, status.ErrNotTheirs) {
				t.Fatalf("refusal %v", refusal)
			}
			if refusal != nil {
				return
			}
			if p.Users != c.users || len(p.Members) != c.users || p.Truncated {
				t.Errorf("answered %s", body)
			}
			if c.users == 0 && !strings.Contains(body, `"members":[]`) {
				t.Errorf("answered %s", body)
			}
		})
	}
}

func TestJoinHasThePresence(t *testing.T) {
	r := start(t, setup{presence: crowd(3)})
	w, refusal, _ := ask(t, r.gateway, "edge.c1.join.alice")
	if refusal != nil || !slices.Equal(w.Presence, crowd(3).List("c1")) || w.PresenceTruncated {
		t.Errorf("refusal %v, presence %v", refusal, w.Presence)
	}
}

func TestACrowdIsCutAndSaysSo(t *testing.T) {
	r := start(t, setup{presence: crowd(5000)})
	for i := range 25 { // and statuses enough to fill the rest
		r.ingest(t, "c1", status.Category(fmt.Sprintf("cat%d", i)), `{"text":"`+strings.Repeat("x", 60<<10)+`"}`)
	}
	p, refusal, _ := who(t, r.operator, "edge.c1.presence")
	if refusal != nil || p.Users != 5000 || !p.Truncated || len(p.Members) < 400 || len(p.Members) == 5000 {
		t.Errorf("refusal %v, %d users, %d members, truncated %v", refusal, p.Users, len(p.Members), p.Truncated)
	}
	w, refusal, _ := ask(t, r.operator, "edge.c1.join")
	if refusal != nil || len(w.Presence) != 100 || !w.PresenceTruncated || !w.Snapshot.Truncated || len(w.Snapshot.Statuses) < 3 {
		t.Errorf("refusal %v, presence %d, truncated %v, %d statuses", refusal, len(w.Presence), w.PresenceTruncated, len(w.Snapshot.Statuses))
	}
}

func TestPresenceComesFromTheTracker(t *testing.T) {
	r := start(t, setup{}) // the tracker may be on another server than the edge
	tracker, err := presence.New(connect(t, r.engine, engine.PartPresence), presence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tracker.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, tracker.Stop) })
	tracker.Join("c1", "alice", 7)
	with := start(t, setup{presence: tracker})
	if p, _, body := who(t, with.operator, "edge.c1.presence"); p.Users != 1 || p.Members[0].User != "alice" {
		t.Errorf("answered %s", body)
	}
}
