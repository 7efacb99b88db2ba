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
	"github.com/statuswire/statuswire/status"
)

func TestJoinAnswersCategoriesLimitsAndSnapshot(t *testing.T) {
	r := start(t, setup{opts: edge.Options{Limits: edge.Limits{Categories: 5}}})
	r.ingest(t, "c1", "engine", `{"text":"old"}`)
	r.ingest(t, "c1", "deploy", `{"text":"rolling <b>out</b>","metadata":{"n":12345678901234567890}}`)
	r.ingest(t, "c2", "engine", `{"text":"another's"}`)
	last := r.ingest(t, "c1", "engine", `{"text":"new"}`)

	for _, c := range []struct {
		name    string
		nc      *nats.Conn
		subject string
	}{
		{"an operator", r.operator, "edge.c1.join"},
		{"the owner", r.gateway, status.AskedBy(status.EdgeSubject("c1", status.EdgeJoin), "alice")},
		{"a member", r.gateway, status.AskedBy(status.EdgeSubject("c1", status.EdgeJoin), "bob")},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, refusal, _ := ask(t, c.nc, c.subject)
			if refusal != nil {
				t.Fatal(refusal)
			}
			if w.Conversation != "c1" || !slices.Equal(w.Categories, append(status.DefaultCategories(), "deploy")) {
				t.Errorf("conversation %q, categories %v", w.Conversation, w.Categories)
			}
			if want := (edge.Limits{Categories: 5, ChangesPerMinute: 30, Subscriptions: 64, PayloadBytes: 65536}); w.Limits != want {
				t.Errorf("limits %+v, want %+v", w.Limits, want)
			}
			if w.Snapshot.UpToSequence != last || w.Snapshot.Truncated || len(w.Snapshot.Statuses) != 2 {
				t.Fatalf("snapshot %+v", w.Snapshot)
			}
			first, second := w.Snapshot.Statuses[0], w.Snapshot.Statuses[1]
			if first.Subject != "status.c1.deploy" || string(first.Status) != `{"text":"rolling <b>out</b>","metadata":{"n":12345678901234567890}}` {
				t.Errorf("first %s %s", first.Subject, first.Status)
			}
			if second.Subject != "status.c1.engine" || second.Sequence != last || string(second.Status) != `{"text":"new"}` {
				t.Errorf("second %d %s %s", second.Sequence, second.Subject, second.Status)
			}
		})
	}
}

func TestJoinOfAConversationWithoutStatuses(t *testing.T) {
	r := start(t, setup{})
	m, err := r.gateway.Request(status.AskedBy(status.EdgeSubject("c2", status.EdgeJoin), "carol@example.com"), nil, soon)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"conversation":"c2","categories":["engine","tool","workflow","progress","error","info"],` +
		`"limits":{"categories":10,"changes_per_minute":30,"subscriptions":64,"payload_bytes":65536},` +
		`"presence":[],"epoch":"` + r.epoch(t) + `","snapshot":{"up_to_seq":0,"statuses":[]}}`
	if string(m.Data) != want {
		t.Errorf("got  %s\nwant %s", m.Data, want)
	}
}

// A browser that joins before the first status asks the history from there on, and
// must not be told then that others' statuses, long gone, were its own.
func TestJoinOfAConversationWithoutStatusesIsTrueUpToTheStreamsLast(t *testing.T) {
	r := start(t, setup{})
	last := r.fill(t, 3, `{"text":"another's"}`)
	w, refusal, _ := ask(t, r.operator, "edge.c2.join")
	if refusal != nil || w.Snapshot.UpToSequence != last || len(w.Snapshot.Statuses) != 0 {
		t.Errorf("snapshot %+v up to the stream's last, %d; %v", w.Snapshot, last, refusal)
	}
}

func TestRefusals(t *testing.T) {
	r := start(t, setup{})
	for _, c := range []struct {
		name, subject string
		operator      bool
		want          *status.Error
		text          string
	}{
		{"a stranger's conversation", "edge.c2.join.alice", false, status.ErrNotTheirs, `conversation "c2" is not found or not yours`},
		{"an unknown conversation", "edge.c9.join.alice", false, status.ErrNotTheirs, `conversation "c9" is not found or not yours`},
		{"an unknown one, asked by an operator", "edge.c9.join", true, status.ErrNotTheirs, `conversation "c9" is not found or not yours`},
		{"no conversation id", "edge.c+9.join.alice", false, status.ErrBadRequest, ""},
		{"no user token", "edge.c1.join.al=20ice=", false, status.ErrBadRequest, ""},
		{"another spelling of the user", "edge.c1.join.=61lice", false, status.ErrBadRequest, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := r.gateway
			if c.operator {
				nc = r.operator
			}
			_, refusal, header := ask(t, nc, c.subject)
			if !errors.Is(refusal, c.want) || refusal.Code != c.want.Code {
				t.Fatalf("refusal %+v, want %v", refusal, c.want)
			}
			if c.text != "" && refusal.Description != c.text {
				t.Errorf("text %q, want %q", refusal.Description, c.text)
			}
			if got := header.Get("Nats-Service-Error-Code"); got != fmt.Sprint(c.want.Code) {
				t.Errorf("Nats-Service-Error-Code %q", got)
			}
			if got := header.Get("Nats-Service-Error"); got != refusal.Description {
				t.Errorf("Nats-Service-Error %q, want %q", got, refusal.Description)
			}
		})
	}
}

func TestAccessThatEndsIsSeenAtOnce(t *testing.T) {
	r := start(t, setup{})
	subject := status.AskedBy(status.EdgeSubject("c1", status.EdgeJoin), "bob")
	if _, refusal, _ := ask(t, r.gateway, subject); refusal != nil {
		t.Fatal(refusal)
	}
	if _, err := r.directory.RemoveMember(t.Context(), "c1", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, refusal, _ := ask(t, r.gateway, subject); !errors.Is(refusal, status.ErrNotTheirs) {
		t.Errorf("after bob was removed: %v", refusal)
	}
}

// A join of many large statuses was as large as one message may be, which is what a
// browser's socket lets wait in all.
func TestAnAnswerThatWouldBeTooLargeSaysWhatIsLeftOut(t *testing.T) {
	r := start(t, setup{})
	text := strings.Repeat("<", 60<<10) // six times as long with HTML escapes
	var last uint64
	stored := map[status.Category]uint64{}
	for i := range 25 {
		c := status.Category(fmt.Sprintf("cat%d", i))
		r.ingest(t, "c1", c, `{"text":"an older one"}`)
		last = r.ingest(t, "c1", c, `{"text":"`+text+`"}`)
		stored[c] = last
	}
	w, refusal, _ := ask(t, r.operator, "edge.c1.join")
	if refusal != nil {
		t.Fatal(refusal)
	}
	shot := w.Snapshot
	n := len(shot.Statuses)
	if !shot.Truncated || n != 4 || shot.UpToSequence != last || len(shot.LeftOut) != 25-n {
		t.Fatalf("truncated %v, %d statuses, up to %d, left out %v", shot.Truncated, n, shot.UpToSequence, shot.LeftOut)
	}
	if shot.Statuses[n-1].Sequence != last {
		t.Errorf("the newest is %d, want %d: the oldest are to be left out", shot.Statuses[n-1].Sequence, last)
	}
	// What docs/protocol.md says brings the rest, and nothing else.
	query := map[string]any{"epoch": w.Epoch, "after": shot.LeftOut[0].Sequence - 1, "limit": len(shot.LeftOut)}
	seen := map[status.Category]uint64{}
	var categories []status.Category
	for _, l := range shot.LeftOut {
		categories = append(categories, l.Category)
		seen[l.Category] = l.Sequence - 1
	}
	query["categories"], query["seen"] = categories, seen
	body, err := json.Marshal(query)
	if err != nil {
		t.Fatal(err)
	}
	r.ingest(t, "c1", categories[0], `{"text":"meanwhile"}`) // comes by the subscription
	got := askHistory(t, r.operator, "edge.c1.history", string(body))
	if got.refusal != nil || len(got.parts) != len(shot.LeftOut) {
		t.Fatalf("refusal %v, %d statuses, want %d", got.refusal, len(got.parts), len(shot.LeftOut))
	}
	for i, p := range got.parts {
		if want := fmt.Sprint(shot.LeftOut[i].Sequence); p.Header.Get(status.HeaderSequence) != want {
			t.Errorf("sequence %s, want %s", p.Header.Get(status.HeaderSequence), want)
		}
	}
}

func TestAStoredStatusThatIsNotJSONIsLeftOut(t *testing.T) {
	r := start(t, setup{})
	r.ingest(t, "c1", "tool", `not JSON`)
	r.ingest(t, "c1", "engine", `{"text":"fine"}`)
	w, refusal, _ := ask(t, r.operator, "edge.c1.join")
	if refusal != nil || len(w.Snapshot.Statuses) != 1 || w.Snapshot.Statuses[0].Subject != "status.c1.engine" {
		t.Errorf("%v, %+v", refusal, w.Snapshot)
	}
}

func TestOnlyTheGatewayMaySpeakForAUser(t *testing.T) {
	r := start(t, setup{})
	if m, err := r.operator.Request("edge.c1.join.alice", nil, 300*time.Millisecond); err == nil {
		t.Errorf("an operator spoke for alice: %s", m.Data)
	}
	if m, err := r.gateway.Request("edge.c2.join", nil, 300*time.Millisecond); err == nil {
		t.Errorf("the gateway asked as an operator: %s", m.Data)
	}
}

func BenchmarkJoin(b *testing.B) {
	r := start(b, setup{})
	for i := range 600 {
		r.ingest(b, "c1", status.DefaultCategories()[i%6], fmt.Sprintf(`{"text":%q}`, strings.Repeat("x", 150)))
	}
	subject := status.AskedBy(status.EdgeSubject("c1", status.EdgeJoin), "alice")
	b.ReportAllocs()
	for b.Loop() {
		m, err := r.gateway.Request(subject, nil, soon)
		if err != nil || !json.Valid(m.Data) {
			b.Fatal(err)
		}
	}
}
