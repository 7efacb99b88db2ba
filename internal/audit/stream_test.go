package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

// site is a real server, and the operator who reads the stream over TCP, as the
// nats CLI does.
type site struct {
	engine   *engine.Engine
	operator jetstream.JetStream
}

func newSite(t testing.TB) site {
	t.Helper()
	dir := t.TempDir()
	set, err := keys.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{StoreDir: dir, Listen: "127.0.0.1:0", Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	return site{engine: e, operator: operator(t, e, set.Operator)}
}

func operator(t testing.TB, e *engine.Engine, kp nkeys.KeyPair) jetstream.JetStream {
	t.Helper()
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(e.ClientURL(), nats.Nkey(public, kp.Sign), nats.CustomInboxPrefix(status.InboxOperator))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func (s site) recorder(t testing.TB, opts audit.Options) *audit.Recorder {
	t.Helper()
	nc, err := s.engine.Connect(engine.PartAudit)
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.New(nc, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop(context.Background()) })
	return r
}

// stored reads the stream from the beginning.
func (s site) stored(t testing.TB, n int) (subjects, texts []string) {
	t.Helper()
	return s.storedIn(t, engine.StreamAudit, n)
}

func (s site) storedIn(t testing.TB, name string, n int) (subjects, texts []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(texts) < n {
		stream, err := s.operator.Stream(ctx, name)
		if err != nil {
			t.Fatalf("record %d: %v", len(texts)+1, err)
		}
		for seq := uint64(len(texts) + 1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
			m, err := stream.GetMsg(ctx, seq)
			if err != nil {
				t.Fatalf("record %d: %v", seq, err)
			}
			subjects, texts = append(subjects, m.Subject), append(texts, string(m.Data))
		}
	}
	s.wantRecordsIn(t, name, n)
	return subjects, texts
}

func (s site) wantRecordsIn(t testing.TB, name string, n int) jetstream.StreamState {
	t.Helper()
	stream, err := s.operator.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	state := stream.CachedInfo().State
	if state.Msgs != uint64(n) {
		t.Errorf("the stream %s has %d records, not %d", name, state.Msgs, n)
	}
	return state
}

func TestAnOperatorReadsTheRecordsInTheStream(t *testing.T) {
	s := newSite(t)
	r := s.recorder(t, audit.Options{Window: 10 * time.Millisecond, Node: "n1"})
	r.Record(audit.Event{
		Time: time.Date(2024, 1, 19, 12, 0, 0, 0, time.FixedZone("", 3600)), Kind: audit.KindRefused,
		User: "alice", Address: "192.0.2.7", Conversation: "c1", Subject: "status.c1.>",
		Reason: `conversation "c1" is not found or not yours`, Session: 7,
	})
	subjects, texts := s.stored(t, 1)
	want := `{"time":"2024-01-19T11:00:00Z","kind":"refused","count":1,"user":"alice","address":"192.0.2.7",` +
		`"conversation":"c1","subject":"status.c1.>","reason":"conversation \"c1\" is not found or not yours","session":7,"node":"n1"}`
	if texts[0] != want || subjects[0] != "audit.refused" {
		t.Errorf("on %s\ngot  %s\nwant %s", subjects[0], texts[0], want)
	}
}

func TestEveryKindHasItsSubjectAndItsStream(t *testing.T) {
	s := newSite(t)
	r := s.recorder(t, audit.Options{})
	kinds := append(audit.Kinds(), "no such kind", "a.b.*", "admin", "admin.x")
	acts := audit.AdminKinds()
	for _, k := range append(kinds, acts...) {
		r.Record(audit.Event{Kind: k, Reason: string(k)})
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []struct {
		name, prefix string
		kinds        []audit.Kind
	}{{engine.StreamAudit, "audit.", kinds}, {engine.StreamAuditAdmin, "audit.admin.", acts}} {
		subjects, texts := s.storedIn(t, stream.name, len(stream.kinds))
		for i, text := range texts {
			var rec audit.Record
			if err := json.Unmarshal([]byte(text), &rec); err != nil {
				t.Fatal(err)
			}
			want := stream.kinds[i]
			if stream.name == engine.StreamAudit && i >= len(audit.Kinds()) {
				want = audit.KindOther
			}
			if subjects[i] != stream.prefix+string(want) || rec.Kind != want || rec.Reason != string(stream.kinds[i]) {
				t.Errorf("%q is on %s: %s", stream.kinds[i], subjects[i], text)
			}
		}
	}
}

func TestStopFlushesToTheStream(t *testing.T) {
	s := newSite(t)
	r := s.recorder(t, audit.Options{})
	const events = 3000
	for i := range events {
		r.Record(audit.Event{Kind: audit.KindDenied, Address: elsewhere(i), Reason: "token expired"})
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantRecordsIn(t, engine.StreamAudit, events)
	if st := r.Stats(); st.Written != events || st.Records != events || st.Lost != 0 || st.Retries != 0 {
		t.Errorf("stats %+v", st)
	}
}

// Acts that come while the server is replaced are written afterwards, once each and in
// their order.
func TestActsOutliveTheirServer(t *testing.T) {
	s := newSite(t)
	r := s.recorder(t, audit.Options{WriteTimeout: 200 * time.Millisecond, RetryWait: 10 * time.Millisecond})
	replaced := make(chan error, 1)
	go func() { // ends with the restart
		_, err := s.engine.Restart(context.Background())
		replaced <- err
	}()
	acts := 0
	for done := false; !done || acts < 100; acts++ {
		e := removal
		e.Session = uint64(acts)
		r.Record(e)
		select {
		case err := <-replaced:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		case <-time.After(time.Millisecond):
		}
	}
	_, texts := s.storedIn(t, engine.StreamAuditAdmin, acts)
	for i, text := range texts {
		if i > 0 && !strings.Contains(text, fmt.Sprintf(`"session":%d,`, i)) {
			t.Fatalf("record %d of %d is %s", i, acts, text)
		}
	}
}

// A kick of the connection, or of anything between, loses no record and stores
// none twice.
func TestRecordsSurviveTheConnection(t *testing.T) {
	s := newSite(t)
	nc, err := s.engine.Connect(engine.PartAudit)
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.New(nc, audit.Options{Window: 10 * time.Millisecond, WriteTimeout: 200 * time.Millisecond, RetryWait: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	const events = 500
	for i := range events {
		r.Record(audit.Event{Kind: audit.KindDenied, Address: elsewhere(i), Reason: "token expired"})
		r.Record(removal)
		if i%100 == 50 {
			if err := nc.ForceReconnect(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond) // spread over several windows
		}
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, texts := s.stored(t, events)
	seen := map[string]bool{}
	for _, text := range texts {
		var rec audit.Record
		if err := json.Unmarshal([]byte(text), &rec); err != nil {
			t.Fatal(err)
		}
		seen[rec.Address] = true
	}
	if len(seen) != events {
		t.Errorf("%d addresses, not %d", len(seen), events)
	}
	s.wantRecordsIn(t, engine.StreamAuditAdmin, events)
}

func TestNoCredentialAndNoLongTextReachesARecord(t *testing.T) {
	const (
		token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MTd9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
		seed  = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
	)
	s := newSite(t)
	r := s.recorder(t, audit.Options{})
	for _, secret := range []string{token, seed, token[:60]} {
		r.Record(audit.Event{
			Kind: audit.KindRefused, User: "alice", Subject: "status." + secret + ".engine",
			Reason: "no: " + secret, Address: secret, Limit: secret, Actor: secret, Conversation: "c" + "_",
		})
	}
	r.Record(audit.Event{Kind: audit.KindRefused, User: "carol", Subject: strings.Repeat("ü", 5000), Reason: "a\nb\x00\xff", Session: 1})
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, texts := s.stored(t, 3) // both tokens look alike now
	for _, text := range texts {
		if strings.Contains(text, "eyJ") || strings.Contains(text, seed[:20]) || strings.Contains(text, "c2lnbmF0dXJl") {
			t.Errorf("a credential: %s", text)
		}
		if len(text) > 2000 || !json.Valid([]byte(text)) || strings.ContainsAny(text, "\n\x00") {
			t.Errorf("%d bytes: %.300s", len(text), text)
		}
	}
}

func TestRecordingTakesNoMemory(t *testing.T) {
	for _, c := range recordings {
		t.Run(c.name, func(t *testing.T) {
			r := audit.NewWith(func(audit.Record) error { return nil }, audit.Options{MaxOpen: 100})
			i := 0
			record := func() { i++; r.Record(c.event(i)) }
			for range 1000 {
				record()
			}
			if n := testing.AllocsPerRun(1000, record); n >= 1 {
				t.Errorf("%.0f allocations", n)
			}
		})
	}
}

var recordings = []struct {
	name  string
	event func(i int) audit.Event
}{
	{"equal events", func(int) audit.Event { return refusal }},
	{"the table is full", func(i int) audit.Event {
		return audit.Event{Kind: audit.KindDenied, Address: addresses[i%len(addresses)]}
	}},
}

// Recording costs the caller this much.
func BenchmarkRecord(b *testing.B) {
	for _, c := range recordings {
		b.Run(c.name, func(b *testing.B) {
			r := audit.NewWith(func(audit.Record) error { return nil }, audit.Options{MaxOpen: 100})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Record(c.event(i))
			}
		})
	}
}

var addresses = func() (a [1000]string) {
	for i := range a {
		a[i] = elsewhere(i)
	}
	return a
}()

// Writing costs this much: the stream's acknowledgement is waited for.
func BenchmarkWrite(b *testing.B) {
	s := newSite(b)
	r := s.recorder(b, audit.Options{Window: 10 * time.Millisecond, FlushTimeout: time.Hour})
	n := 0
	for b.Loop() {
		n++
		r.Record(audit.Event{Kind: audit.KindDenied, Session: 1, Address: fmt.Sprint(n), Reason: "token expired"})
		for r.Stats().Open > 4000 {
			time.Sleep(time.Millisecond)
		}
	}
	if err := r.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(r.Stats().Records)/b.Elapsed().Seconds(), "records/s")
}
