package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/engine"
)

func publish(t *testing.T, nc *nats.Conn, subject, text string) *jetstream.PubAck {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ack, err := js.Publish(t.Context(), subject, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func subscribe(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

func next(t *testing.T, sub *nats.Subscription) *nats.Msg {
	t.Helper()
	m, err := sub.NextMsg(2 * time.Second)
	if err != nil {
		t.Fatalf("on %s: %v", sub.Subject, err)
	}
	return m
}

// The way of a status, with a broadcaster that only forwards.
func TestAStatusIsMappedStoredAcknowledgedAndRepublished(t *testing.T) {
	e := start(t, options(t))
	live := subscribe(t, connect(t, e, engine.PartFanout), "status.*.*")
	broadcaster := connect(t, e, engine.PartBroadcaster)
	submitted := make(chan string, 1)
	_, err := broadcaster.QueueSubscribe("submit.*.*", "broadcaster", func(m *nats.Msg) {
		submitted <- m.Subject
		out := nats.NewMsg("ingest.c1.engine")
		out.Data, out.Reply = m.Data, m.Reply
		broadcaster.PublishMsg(out)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := broadcaster.Flush(); err != nil {
		t.Fatal(err)
	}

	ack := publish(t, dial(t, e, e.KeyOf("SERVICE_KEY")), "status.c1.engine", `{"text":"hi"}`)
	if got := <-submitted; got != "submit.c1.engine" {
		t.Errorf("submitted on %s", got)
	}
	if ack.Stream != engine.StreamStatus || ack.Sequence != 1 {
		t.Errorf("ack %+v, want one of STATUS itself", ack)
	}
	m := next(t, live)
	if m.Subject != "status.c1.engine" || string(m.Data) != `{"text":"hi"}` {
		t.Errorf("live %s %s", m.Subject, m.Data)
	}
	if m.Header.Get("Nats-Sequence") != "1" || m.Header.Get("Nats-Last-Sequence") != "0" {
		t.Errorf("live headers %v", m.Header)
	}
	stored, err := statusStream(t, e).GetLastMsgForSubject(t.Context(), "status.c1.engine")
	if err != nil {
		t.Fatal(err)
	}
	if stored.Sequence != 1 || string(stored.Data) != `{"text":"hi"}` {
		t.Errorf("stored %d %s", stored.Sequence, stored.Data)
	}
}

func TestTheStreamsAreAsDesigned(t *testing.T) {
	opts := options(t)
	opts.Retention = engine.Retention{MaxAge: time.Hour, MaxBytes: 1 << 22, MaxPerSubject: 7}
	e := start(t, opts)
	info, err := statusStream(t, e).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := info.Config
	if c.MaxAge != time.Hour || c.MaxBytes != 1<<22 || c.MaxMsgsPerSubject != 7 || !c.AllowDirect ||
		c.Storage != jetstream.FileStorage || c.Discard != jetstream.DiscardOld || c.Duplicates != 2*time.Minute {
		t.Errorf("STATUS: %+v", c)
	}

	js, err := jetstream.New(dialOperator(t, e))
	if err != nil {
		t.Fatal(err)
	}
	for name, days := range map[string]time.Duration{engine.StreamAudit: 90, engine.StreamAuditAdmin: 365} {
		audit, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if c := audit.CachedInfo().Config; !c.DenyDelete || !c.DenyPurge || c.MaxAge != days*24*time.Hour || c.MaxBytes != 1<<30 || c.Discard != jetstream.DiscardOld {
			t.Errorf("%s: %+v", name, c)
		}
	}
	// An act is sent again for as long as it takes, an event is folded meanwhile.
	for name, window := range map[string]time.Duration{engine.StreamAudit: 2 * time.Minute, engine.StreamAuditAdmin: time.Hour} {
		audit, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if c := audit.CachedInfo().Config; c.Duplicates != window {
			t.Errorf("%s remembers ids for %v", name, c.Duplicates)
		}
	}
	marks, err := js.Stream(t.Context(), engine.StreamMarks)
	if err != nil {
		t.Fatal(err)
	}
	// Two minutes after the end of a connection, whose mark was written up to a
	// minute before it.
	if c := marks.CachedInfo().Config; c.MaxAge < 3*time.Minute || c.MaxBytes <= 0 || c.Compression != jetstream.S2Compression || !c.AllowDirect {
		t.Errorf("MARKS: %+v", c)
	}
	if _, err := js.KeyValue(t.Context(), engine.BucketDirectory); err != nil {
		t.Errorf("bucket: %v", err)
	}
}

func TestAuditEventsAreStored(t *testing.T) {
	e := start(t, options(t))
	for subject, want := range map[string]string{"audit.denied": engine.StreamAudit, "audit.admin.kicked": engine.StreamAuditAdmin} {
		if ack := publish(t, connect(t, e, engine.PartAudit), subject, "{}"); ack.Stream != want {
			t.Errorf("%s: ack %+v", subject, ack)
		}
	}
}

func TestTheDirectoryPartReadsWritesAndWatches(t *testing.T) {
	e := start(t, options(t))
	js, err := jetstream.New(connect(t, e, engine.PartDirectory))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), engine.BucketDirectory)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := kv.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if first := <-watch.Updates(); first != nil {
		t.Fatalf("an empty bucket has %v", first)
	}
	watched := func(want string) {
		t.Helper()
		select {
		case got := <-watch.Updates():
			if string(got.Value()) != want {
				t.Errorf("watched %q, want %q", got.Value(), want)
			}
		case <-time.After(2 * time.Second):
			t.Fatalf("%q is not watched", want)
		}
	}
	revision, err := kv.Create(t.Context(), "c1", []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	watched("a")
	if _, err := kv.Update(t.Context(), "c1", []byte("b"), revision); err != nil {
		t.Fatal(err)
	}
	watched("b")
	if err := kv.Delete(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	watched("")
}

func TestTheAdminPartPurgesOneConversation(t *testing.T) {
	e := start(t, options(t))
	broadcaster := connect(t, e, engine.PartBroadcaster)
	publish(t, broadcaster, "ingest.c1.engine", "{}")
	publish(t, broadcaster, "ingest.c2.engine", "{}")
	answer, err := connect(t, e, engine.PartAdmin).Request("$JS.API.STREAM.PURGE.STATUS", []byte(`{"filter":"status.c1.*"}`), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(answer.Data), `"purged":1`) {
		t.Errorf("answered %s", answer.Data)
	}
	js, err := jetstream.New(connect(t, e, engine.PartStreams))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), engine.StreamStatus)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs != 1 || info.State.Subjects["status.c2.engine"] != 1 {
		t.Errorf("left: %+v", info.State)
	}
}
