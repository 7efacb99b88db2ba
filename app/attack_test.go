package app_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/logtest"
	"github.com/statuswire/statuswire/status"
)

// recordsIn reads a stream of the audit from its beginning.
func recordsIn(t *testing.T, nc *nats.Conn, name string) (records []audit.Record) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var r audit.Record
		if err := json.Unmarshal(m.Data, &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// One /64 is refused as fast as it can, from an address and an origin of its own each
// time, while administrators change access, end a session and take access away: each
// of their acts is a record, the refusals are a few, and so are the lines of the log.
func TestAFloodOfRefusedOriginsHidesNoActOfAnAdministrator(t *testing.T) {
	dir, log := t.TempDir(), &logtest.Log{}
	a := newApp(t, app.Options{
		DataDir: dir, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Gateway: gateway.Options{TrustedProxies: loopback},
	})
	start(t, a)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	operator := connectOperator(t, a, dir)
	client := admin.NewClient(operator, admin.OperatorName)

	const attackers, each, changes = 4, 400, 20
	const refusals = attackers * each
	http := strings.TrimPrefix(a.Endpoints().HTTP, "http://")
	var flood sync.WaitGroup
	for attacker := range attackers {
		flood.Go(func() {
			for i := range each {
				n := attacker*each + i + 1
				whole(t, http, fmt.Sprintf("GET /ws HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 2001:db8::%x\r\nOrigin: https://%d.evil.example\r\n"+
					"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", n, n))
			}
		})
	}
	_, err := client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"})
	must(err)
	secret, err := keys.ReadTokenSecret(dir)
	must(err)
	lost := make(chan error, 100)
	for i := range changes {
		user := status.UserID(fmt.Sprint("user", i))
		_, err := client.Add(t.Context(), "c1", user)
		must(err)
		if i >= 2 {
			continue
		}
		token, err := identity.Issue(secret, user, time.Hour, time.Now())
		must(err)
		nc := connectAs(t, a.Endpoints().WS, nats.Token(token), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { lost <- err }))
		_, err = nc.SubscribeSync("status.c1.*")
		must(err)
		must(nc.Flush())
	}
	_, err = client.Kick(t.Context(), "user0", "please log in again")
	must(err)
	_, err = client.Remove(t.Context(), "c1", "user1")
	must(err)
	for !strings.Contains(fmt.Sprint(<-lost), `access to conversation "c1" has ended`) {
	}
	flood.Wait()
	operator.Close()
	stop(t, a)

	again := newApp(t, app.Options{DataDir: dir})
	start(t, again)
	reader := connectOperator(t, again, dir)
	var acts []string
	for _, r := range recordsIn(t, reader, engine.StreamAuditAdmin) {
		acts = append(acts, fmt.Sprintf("%s %s", r.Kind, r.User))
		if r.Count != 1 {
			t.Errorf("folded: %+v", r)
		}
	}
	want := []string{"conversation_created alice"}
	for i := range changes {
		want = append(want, fmt.Sprintf("member_added user%d", i))
	}
	want = append(want, "kicked user0", "sessions_ended user0", "member_removed user1", "revoked user1")
	slices.Sort(acts) // what follows from an act may be quicker than its own record
	slices.Sort(want)
	if got, want := strings.Join(acts, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("the acts are\n%s\nwant\n%s", got, want)
	}

	told, records := 0, recordsIn(t, reader, engine.StreamAudit)
	for _, r := range records {
		told += r.Count
		if r.Kind != audit.KindDenied || !strings.HasPrefix(r.Address, "2001:db8::") || !strings.HasSuffix(r.Origin, ".evil.example") {
			t.Errorf("%+v", r)
		}
	}
	if told != refusals || len(records) > 20 {
		t.Errorf("%d records tell of %d refusals, there were %d", len(records), told, refusals)
	}

	text := log.String()
	if n := len(text); n > 32<<10 {
		t.Errorf("the log has %d bytes:\n%.2000s", n, text)
	}
	if n := strings.Count(text, `msg="admin: member added"`); n != changes {
		t.Errorf("the log has %d of %d changes", n, changes)
	}
	if n := strings.Count(text, "request refused: origin not allowed"); n > 20 {
		t.Errorf("the log has %d lines of refusals", n)
	}
}
