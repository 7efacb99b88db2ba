package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// records stops the recorder, which writes what waits, and reads both streams.
func (r *rig) records() []audit.Record {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(r.t, r.audit.Stop(ctx))
	public, err := r.keys.Operator.PublicKey()
	must(r.t, err)
	nc, err := nats.Connect(r.engine.ClientURL(), nats.Nkey(public, r.keys.Operator.Sign), nats.CustomInboxPrefix(status.InboxOperator))
	must(r.t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(r.t, err)
	var all []audit.Record
	for _, name := range []string{engine.StreamAudit, engine.StreamAuditAdmin} {
		stream, err := js.Stream(ctx, name)
		must(r.t, err)
		for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
			m, err := stream.GetMsg(ctx, seq)
			must(r.t, err)
			var rec audit.Record
			must(r.t, json.Unmarshal(m.Data, &rec))
			all = append(all, rec)
		}
	}
	return all
}

// TestEachDenialLeavesOneRecord provokes every kind of refusal once, and holds
// that the stream has each once, with who and why, and nothing else.
func TestEachDenialLeavesOneRecord(t *testing.T) {
	r := newRig(t, gateway.Options{Limits: limit.Options{
		MeterRules: limit.MeterRules{Categories: limit.Rule{Value: 3}, Operations: limit.Rule{Value: 1000}},
	}})
	r.members.set("c1", "alice", true)
	r.members.set("c2", "alice", true)
	const tokens = "/secret-token"
	want := map[string]int{}
	expect := func(kind audit.Kind, user, what string) { want[fmt.Sprintf("%s|%s|%s", kind, user, what)]++ }

	// Logins.
	for _, reason := range []string{
		"token expired: get a fresh one", "token not yet valid: check the clocks", "token has a wrong signature",
		"token has the wrong signature algorithm", "token has the wrong audience", "token has the wrong issuer",
	} {
		r.callout.set(func(c *callout) {
			c.deny = func(string) *session.Denial { return &session.Denial{Reason: reason, Final: true, User: "mallory"} }
		})
		b := r.dial()
		b.send(`CONNECT {"auth_token":"mallory` + tokens + `"}`)
		b.expectClosed(1008)
		expect(audit.KindDenied, "mallory", "Authorization Violation: "+reason)
	}
	r.callout.set(func(c *callout) { c.deny = nil })
	for line, reason := range map[string]string{
		`CONNECT {}`: "no token: put your application's token into the connection's token option",
		`PING`:       "CONNECT must come first",
		`CONNECT {`:  "CONNECT is not valid JSON",
		`CONNECT {"auth_token":"alice` + tokens + `","user":"c9"}`:                                 `conversation "c9" is not found or not yours`,
		`CONNECT {"auth_token":"alice` + tokens + `"}` + "\r\n" + `CONNECT {"auth_token":"alice"}`: "a connection is authenticated once: open another one, or hand in a fresh token with a request to gateway.token",
		`CONNECT {"auth_token":"` + strings.Repeat("x", 5000) + `"}`:                               "token too long: CONNECT may have at most 4096 bytes with it",
	} {
		b := r.dial()
		b.send(line)
		b.expectClosed(1008)
		user := ""
		if strings.Contains(reason, "once") {
			user = "alice"
		}
		expect(audit.KindDenied, user, "Authorization Violation: "+reason)
	}

	// Subscriptions, publishes, limits.
	b := r.login("alice" + tokens)
	for _, subject := range []string{"status.c9.engine", "status.*.engine", ">", "$SYS.>", "submit.*.*", "_INBOX_edge.>"} {
		b.send("SUB "+subject+" 1", "PING")
		b.expect("-ERR")
		b.expect("PONG")
		expect(audit.KindRefused, "alice", subject)
	}
	for _, subject := range []string{"status.c1.engine", "edge.c9.join", "$JS.API.INFO"} {
		b.send("PUB "+subject+" 14", "secret-payload", "PING")
		b.expect("-ERR")
		b.expect("PONG")
		expect(audit.KindRefused, "alice", subject)
	}
	b.sub("status.c1.engine", "1")
	b.send("SUB status.c2.* 2", "PING")
	b.expect("-ERR")
	b.expect("PONG")
	expect(audit.KindLimited, "alice", "status.c2.*")
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	b.expect("-ERR")
	expect(audit.KindRevoked, "alice", "status.c1.engine")
	b.send("garbage")
	b.expectClosed(1008)
	expect(audit.KindClosed, "alice", "Unknown Protocol Operation")
	eventually(t, "the sockets are gone", func() bool { return r.gateway.Stats().Sockets == 0 })

	got := map[string]int{}
	for _, rec := range r.records() {
		if strings.Contains(fmt.Sprintf("%+v", rec), "secret-") {
			t.Errorf("a token or a payload is in the audit: %+v", rec)
		}
		if rec.Address != "127.0.0.1" || rec.Time.IsZero() || time.Since(rec.Time) > time.Minute {
			t.Errorf("from where and when: %+v", rec)
		}
		what := rec.Subject
		if what == "" {
			what = rec.Reason
		}
		got[fmt.Sprintf("%s|%s|%s", rec.Kind, rec.User, what)] += rec.Count
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			t.Errorf("%d records of %s, want %d", got[key], key, want[key])
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("nobody expected %v", got)
	}
}

// What a connection loses with its access to a conversation is one record, whatever
// else happens to it.
func TestWhatAConnectionLosesIsARecordForEachConversation(t *testing.T) {
	r := newRig(t, gateway.Options{})
	for _, c := range []status.ConversationID{"c1", "c2", "c3"} {
		r.members.set(c, "alice", true)
	}
	first, second := r.login("alice"), r.login("alice")
	for i, subject := range []string{"status.c1.engine", "status.c1.tool", "presence.c1", "status.c2.engine", "status.c3.engine"} {
		first.sub(subject, strconv.Itoa(i+1))
	}
	second.sub("status.c1.engine", "1")
	r.members.set("c1", "alice", false)
	r.members.set("c2", "alice", false)
	r.gateway.AccessChanged("c1")
	r.gateway.AccessChanged("c2")
	for range 4 {
		first.expect("-ERR")
	}
	second.expect("-ERR")
	type lost struct {
		conversation status.ConversationID
		count        int
		subjects     string
	}
	bySession := map[uint64][]lost{}
	for _, rec := range r.records() {
		if rec.Kind != audit.KindRevoked || rec.User != "alice" || rec.Address != "127.0.0.1" || !strings.Contains(rec.Reason, "has ended") {
			t.Errorf("%+v", rec)
		}
		bySession[rec.Session] = append(bySession[rec.Session], lost{rec.Conversation, rec.Count, rec.Subject})
	}
	var got [][]lost
	for _, list := range bySession {
		slices.SortFunc(list, func(a, b lost) int { return strings.Compare(string(a.conversation), string(b.conversation)) })
		got = append(got, list)
	}
	slices.SortFunc(got, func(a, b []lost) int { return len(b) - len(a) })
	want := [][]lost{
		{{"c1", 3, "presence.c1 status.c1.engine status.c1.tool"}, {"c2", 1, "status.c2.engine"}},
		{{"c1", 1, "status.c1.engine"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("lost %+v, want %+v", got, want)
	}
}

// With links that are kept, the server ends a socket's link for more reasons than a kick.
func TestOnlyAKickIsAKick(t *testing.T) {
	for _, tt := range []struct {
		name     string
		lifetime time.Duration
		end      func(*rig)
		want     []audit.Kind
	}{
		{"the server is told to end it", time.Hour, (*rig).kickAll, []audit.Kind{audit.KindKicked}},
		{"the grant expires", 2 * time.Second, func(*rig) {}, nil},
		{"the server is replaced", time.Hour, func(r *rig) {
			_, err := r.engine.Restart(r.t.Context())
			must(r.t, err)
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, gateway.Options{KeepLinks: true})
			r.callout.set(func(c *callout) { c.lifetime = tt.lifetime })
			b := r.login("alice")
			tt.end(r)
			for b.line() != "" {
			}
			_ = b.conn.Close()
			eventually(t, "the socket is gone", func() bool { return r.gateway.Stats().Sockets == 0 })
			var got []audit.Kind
			for _, rec := range r.records() {
				got = append(got, rec.Kind)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("closed with %q, the audit has %v, want %v", b.why, got, tt.want)
			}
		})
	}
}

// kickAll has the server end every link of alice that is kept.
func (r *rig) kickAll() {
	r.t.Helper()
	public, err := r.keys.System.PublicKey()
	must(r.t, err)
	nc, err := nats.Connect(r.engine.ClientURL(), nats.Nkey(public, r.keys.System.Sign), nats.CustomInboxPrefix(status.InboxSystem))
	must(r.t, err)
	defer nc.Close()
	server := "$SYS.REQ.SERVER." + r.engine.ServerID()
	m, err := nc.Request(server+".CONNZ", []byte(`{"auth":true}`), patience)
	must(r.t, err)
	var report struct {
		Data struct {
			Connections []struct {
				ID   uint64 `json:"cid"`
				User string `json:"authorized_user"`
			} `json:"connections"`
		} `json:"data"`
	}
	must(r.t, json.Unmarshal(m.Data, &report))
	for _, c := range report.Data.Connections {
		if c.User == "alice" {
			_, err := nc.Request(server+".KICK", fmt.Appendf(nil, `{"cid":%d}`, c.ID), patience)
			must(r.t, err)
		}
	}
}
