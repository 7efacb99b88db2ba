//go:build e2e

package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
)

// unmodified are the clients of clients.mjs.
var unmodified = []string{"@nats-io/nats-core", "nats.ws"}

// tabID is a unique name, as crypto.randomUUID makes it.
const tabID = "8f14e45f-ceea-467f-9575-6d1c1a9c7e21"

// heard is one line of follower.mjs.
type heard struct {
	Event     string
	Error     string
	On        string // the subject of the subscription
	Subject   string
	Sequence  uint64
	Text      string
	Truncated string
}

// follower is a browser: the process of follower.mjs, and what it has heard.
type follower struct {
	t testing.TB

	mu      sync.Mutex // guards what follows
	lines   []heard
	changed chan struct{}
}

// follow starts a follower of subjects as alice, and returns when it listens.
func follow(t testing.TB, s *statuswire, servers, client, name string, subjects ...string) *follower {
	t.Helper()
	set, err := keys.Load(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.Issue(set.TokenSecret, "alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(map[string]any{
		"servers": servers, "token": token, "client": client, "name": name, "subjects": subjects, "pingInterval": 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, changed: make(chan struct{})}
	startNode(t, f.read, "follower.mjs", string(spec))
	f.until("it listens", func(all []heard) bool { return len(all) > 0 })
	return f
}

func (f *follower) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var h heard
		if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
			h.Error = fmt.Sprintf("%v: %s", err, lines.Text())
		}
		f.mu.Lock()
		f.lines = append(f.lines, h)
		close(f.changed)
		f.changed = make(chan struct{})
		f.mu.Unlock()
	}
	return lines.Err()
}

// until returns what was heard once that is enough.
func (f *follower) until(what string, enough func([]heard) bool) []heard {
	f.t.Helper()
	timeout := time.After(time.Minute)
	for {
		f.mu.Lock()
		all, changed := slices.Clone(f.lines), f.changed
		f.mu.Unlock()
		for _, h := range all {
			if h.Error != "" {
				f.t.Fatalf("heard the error %q", h.Error)
			}
		}
		if enough(all) {
			return all
		}
		select {
		case <-changed:
		case <-timeout:
			f.t.Fatalf("not within a minute: %s; heard %+v", what, all)
		}
	}
}

// reconnected waits until it has come back the nth time.
func (f *follower) reconnected(n int) {
	f.t.Helper()
	f.until(fmt.Sprintf("it is back the time %d", n), func(all []heard) bool {
		return reconnects(all) >= n
	})
}

// statuses waits until the text was heard, and returns all statuses until then.
func (f *follower) statuses(last string) []heard {
	f.t.Helper()
	all := f.until(fmt.Sprintf("the status %q", last), func(all []heard) bool {
		return slices.ContainsFunc(all, func(h heard) bool { return h.Text == last })
	})
	return slices.DeleteFunc(all, func(h heard) bool { return h.Text == "" })
}

func count(all []heard, what func(heard) bool) (n int) {
	for _, h := range all {
		if what(h) {
			n++
		}
	}
	return n
}

func texts(all []heard) (list []string) {
	for _, h := range all {
		list = append(list, h.Text)
	}
	return list
}

// publisher publishes as a service does.
type publisher struct {
	t  testing.TB
	js jetstream.JetStream
}

func newPublisher(t testing.TB, s *statuswire) publisher {
	t.Helper()
	js, err := jetstream.New(connectAs(t, s, "service"))
	if err != nil {
		t.Fatal(err)
	}
	return publisher{t, js}
}

// publish returns the sequence of the last of the texts.
func (p publisher) publish(category string, texts ...string) (seq uint64) {
	p.t.Helper()
	for _, text := range texts {
		ack, err := p.js.Publish(p.t.Context(), "status.c1."+category, fmt.Appendf(nil, `{"text":%q}`, text))
		if err != nil {
			p.t.Fatal(err)
		}
		seq = ack.Sequence
	}
	return seq
}

// marked waits until the stream MARKS says that the tab has everything up to the
// sequence on the subject's category.
func (s *statuswire) marked(t testing.TB, category string, seq uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	js, err := jetstream.New(connectAs(t, s, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	for {
		stream, err := js.Stream(ctx, "MARKS")
		if err != nil {
			t.Fatal(err)
		}
		if last := stream.CachedInfo().State.LastSeq; last > 0 {
			m, err := stream.GetMsg(ctx, last)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(m.Data)) {
				var r struct {
					N string
					M map[string]map[string]struct{ A uint64 }
				}
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatal(err)
				}
				if r.N == tabID && r.M["c1"][category].A >= seq {
					return
				}
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("no mark of %s at %d", category, seq)
		}
	}
}

// network is one between browsers and the server.
func (s *statuswire) network(t testing.TB) *network {
	t.Helper()
	n := startNetwork(t)
	n.setTarget(s.address())
	return n
}

// each does something to every connection.
func (n *network) each(do func(*link)) {
	n.mu.Lock()
	links := slices.Clone(n.links)
	n.mu.Unlock()
	for _, l := range links {
		do(l)
	}
}

func (s *statuswire) address() string { return strings.TrimPrefix(s.WS, "ws://") }

// eachClient runs the test for each unmodified client, on a server of its own with
// the conversation c1 of alice.
func eachClient(t *testing.T, test func(t *testing.T, client string, s *statuswire), flags ...string) {
	for _, client := range unmodified {
		t.Run(client, func(t *testing.T) {
			s := startStatuswire(t, flags...)
			s.run(t, "conversation", "create", "c1", "--owner", "alice")
			test(t, client, s)
		})
	}
}

func TestAnUnmodifiedClientWithANameGetsWhatItMissed(t *testing.T) {
	eachClient(t, func(t *testing.T, client string, s *statuswire) {
		network := s.network(t)
		named := follow(t, s, "ws://"+network.address(), client, tabID, "status.c1.engine", "status.c1.tool")
		plain := follow(t, s, "ws://"+network.address(), client, "my application", "status.c1.engine")
		p := newPublisher(t, s)
		seq := p.publish("engine", "1", "2", "3")
		s.marked(t, "engine", seq)
		plain.statuses("3")

		network.setTarget("")
		network.each((*link).loseClient)
		p.publish("engine", "4", "5")
		p.publish("tool", "a", "b") // on which there was nothing yet
		network.setTarget(s.address())
		named.reconnected(1)
		plain.reconnected(1)
		p.publish("engine", "6")
		p.publish("tool", "c")
		named.statuses("c")

		var engine, tool []heard
		for _, h := range named.statuses("6") {
			if h.Subject == "status.c1.tool" {
				tool = append(tool, h)
			} else {
				engine = append(engine, h)
			}
		}
		// All that was confirmed comes once.
		if got := texts(engine); !slices.Equal(got, []string{"1", "2", "3", "4", "5", "6"}) {
			t.Errorf("engine: %q", got)
		}
		if got := texts(tool); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("tool: %q", got)
		}
		if got := texts(plain.statuses("6")); !slices.Equal(got, []string{"1", "2", "3", "6"}) {
			t.Errorf("without a name of its own: %q", got)
		}
	})
}

func TestAnUnmodifiedClientWithANameGoesOnAfterTheServerWasGone(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, s *statuswire)
	}{
		{"killed", func(_ *testing.T, s *statuswire) { s.Kill() }},
		{"ended by SIGTERM", func(t *testing.T, s *statuswire) {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachClient(t, func(t *testing.T, client string, s *statuswire) {
				network := s.network(t)
				f := follow(t, s, "ws://"+network.address(), client, tabID, "status.c1.engine")
				p := newPublisher(t, s)
				s.marked(t, "engine", p.publish("engine", "1", "2"))
				// What is delivered now may be confirmed or not.
				p.publish("engine", "3")
				f.statuses("3")
				c.end(t, s)

				network.setTarget("") // the browser is slow to come back
				again := startStatuswireIn(t, s.DataDir)
				p = newPublisher(t, again)
				p.publish("engine", "4", "5")
				network.setTarget(again.address())
				f.reconnected(1)
				p.publish("engine", "6")
				got := texts(f.statuses("6"))
				if !slices.Equal(got, []string{"1", "2", "3", "4", "5", "6"}) && !slices.Equal(got, []string{"1", "2", "3", "3", "4", "5", "6"}) {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

func TestAnUnmodifiedClientIsToldOfWhatRetentionDropped(t *testing.T) {
	conf := writeConfig(t, "retention { max_per_subject: 3 }\n")
	eachClient(t, func(t *testing.T, client string, s *statuswire) {
		network := s.network(t)
		f := follow(t, s, "ws://"+network.address(), client, tabID, "status.c1.engine")
		p := newPublisher(t, s)
		s.marked(t, "engine", p.publish("engine", "1", "2"))
		network.setTarget("")
		network.each((*link).cut)
		seq := p.publish("engine", "3", "4", "5", "6", "7")
		network.setTarget(s.address())
		f.reconnected(1)
		p.publish("engine", "8")
		all := f.statuses("8")
		if got := texts(all); !slices.Equal(got, []string{"1", "2", "5", "6", "7", "8"}) && !slices.Equal(got, []string{"1", "2", "6", "7", "8"}) {
			t.Fatalf("got %q", got)
		}
		for i, h := range all {
			want := ""
			if i == 2 {
				want = fmt.Sprint(h.Sequence)
			}
			if h.Truncated != want {
				t.Errorf("%q (%d) says that it was truncated before %q, want %q", h.Text, h.Sequence, h.Truncated, want)
			}
		}
		if all[2].Sequence < seq-2 {
			t.Errorf("the first one is %d", all[2].Sequence)
		}
	}, "--config", conf)
}

func TestAnUnmodifiedClientLosesNothingOverManyCuts(t *testing.T) {
	const total, cuts = 240, 8
	categories := []string{"engine", "tool", "info"}
	ways := []func(*link){(*link).cut, (*link).loseClient, (*link).silence}
	// A browser that a connection went silent for sees it some time later.
	giveUp := func(l *link) {
		if !l.sound() {
			reset(l.client)
		}
	}
	eachClient(t, func(t *testing.T, client string, s *statuswire) {
		network := s.network(t)
		f := follow(t, s, "ws://"+network.address(), client, tabID, "status.c1.*", "status.c1.engine")
		p := newPublisher(t, s)
		want := map[string]bool{} // by subscription and text
		for i := range total {
			category, text := categories[i%len(categories)], fmt.Sprint(i)
			p.publish(category, text)
			want["status.c1.* "+text] = true
			if category == "engine" {
				want["status.c1.engine "+text] = true
			}
			switch i % (total / cuts) {
			case 0:
				network.each(giveUp)
			case total / cuts / 2:
				if rand.IntN(2) == 0 { // with the browser behind, or not
					f.statuses(text)
				}
				network.each(ways[rand.IntN(len(ways))])
			}
		}
		network.each(giveUp)
		all := f.until("everything", func(all []heard) bool {
			return len(missing(all, want)) == 0
		})
		// Order: of one subject a subscription goes back only when it begins anew. That
		// a connection was cut before its SUBs were known to have taken effect does not
		// mean that they had not.
		connects := count(all, func(h heard) bool { return h.Event == "connect" })
		if back := goneBack(all); back > connects {
			t.Errorf("a subscription went back %d times in %d connections: %+v", back, connects, all)
		}
		statuses := count(all, func(h heard) bool { return h.Text != "" })
		t.Logf("%d more connections: %d statuses for two subscriptions came as %d messages", connects, len(want), statuses)
	})
}

// missing are those of the wanted that did not come.
func missing(all []heard, want map[string]bool) (list []string) {
	had := map[string]bool{}
	for _, h := range all {
		had[h.On+" "+h.Text] = true
	}
	for one := range want {
		if !had[one] {
			list = append(list, one)
		}
	}
	return list
}

// goneBack is how often, at most, a sequence was below the one before it, of the
// same subscription and subject.
func goneBack(all []heard) (most int) {
	newest, times := map[string]uint64{}, map[string]int{}
	for _, h := range all {
		key := h.On + " " + h.Subject
		if h.Sequence < newest[key] {
			times[key]++
			most = max(most, times[key])
		}
		newest[key] = h.Sequence
	}
	return most
}

func reconnects(all []heard) int {
	return count(all, func(h heard) bool { return h.Event == "reconnect" })
}
