package broadcaster_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/status"
)

func TestAnAcknowledgementCarriesStreamAndSequence(t *testing.T) {
	h := open(t)
	nc := h.service(t)
	js, err := jetstream.New(nc)
	check(t, err)
	legacy, err := nc.JetStream()
	check(t, err)
	for want := uint64(1); want <= 3; want += 2 {
		ack, err := js.Publish(soon(t), "status.c1.engine", []byte(`{"text":"hi"}`))
		check(t, err)
		if ack.Stream != "STATUS" || ack.Sequence != want || ack.Duplicate {
			t.Errorf("jetstream: got %+v, want sequence %d", ack, want)
		}
		old, err := legacy.Publish("status.c1.deploy", []byte(`{"text":"hi"}`))
		check(t, err)
		if old.Stream != "STATUS" || old.Sequence != want+1 {
			t.Errorf("legacy: got %+v, want sequence %d", old, want+1)
		}
	}
}

func TestADeliveredStatusIsCompleteAndCarriesItsHeaders(t *testing.T) {
	h := open(t)
	nc := h.service(t)
	listener := h.listen(t, "status.c1.*")
	js, err := jetstream.New(nc)
	check(t, err)
	before := time.Now().Add(-time.Second)
	ack, err := js.PublishMsg(soon(t), &nats.Msg{
		Subject: "status.c1.engine",
		Header:  nats.Header{"X-Build": {"7", "8"}, "traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
		Data:    []byte(`{"text":"h\u0069", "unknown":[1], "id":"job-7","priority":"high"}`),
	})
	check(t, err)
	m, err := listener.NextMsg(10 * time.Second)
	check(t, err)
	for name, want := range map[string]string{
		"Nats-Sequence": fmt.Sprint(ack.Sequence), "Nats-Msg-Id": "c1.engine.job-7",
		"Status-Id": "job-7", "Status-Priority": "high", "X-Build": "7",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := m.Header.Values("X-Build"); len(got) != 2 {
		t.Errorf("X-Build: got %v", got)
	}
	if !strings.HasSuffix(string(m.Data), `"text":"h\u0069", "unknown":[1], "id":"job-7","priority":"high"}`) {
		t.Errorf("what was published did not stay byte for byte: %s", m.Data)
	}
	var got status.Message
	check(t, json.Unmarshal(m.Data, &got))
	if got.Category != "engine" || got.Text != "hi" || got.Timestamp.Before(before) || got.Timestamp.After(time.Now().Add(time.Second)) {
		t.Errorf("got %+v", got)
	}
	if m.Subject != "status.c1.engine" || m.Reply != "" {
		t.Errorf("delivered on %q with reply %q", m.Subject, m.Reply)
	}
}

func TestAStatusWithoutReplyIsStored(t *testing.T) {
	h := open(t)
	nc := h.service(t)
	listener := h.listen(t, "status.c1.*")
	check(t, nc.Publish("status.c1.engine", []byte(`{"text":"hi"}`)))
	m, err := listener.NextMsg(10 * time.Second)
	check(t, err)
	if m.Header.Get("Nats-Sequence") != "1" {
		t.Errorf("got %v", m.Header)
	}
}

func TestTheLargestStatusWithTheLargestHeadersIsStored(t *testing.T) {
	h := open(t)
	js, err := jetstream.New(h.service(t))
	check(t, err)
	id := strings.Repeat("i", status.MaxIDBytes)
	header := nats.Header{"X": {strings.Repeat("x", status.MaxHeaderBytes-5)}}
	tail := `","priority":"urgent","id":"` + id + `"}`
	payload := `{"text":"` + strings.Repeat("x", status.MaxMessageBytes-9-len(tail)) + tail
	long := status.ConversationID(strings.Repeat("c", status.MaxConversationIDBytes))
	h.dir.put(long)
	_, err = js.PublishMsg(soon(t), &nats.Msg{Subject: status.Subject(long, "workflow"), Header: header, Data: []byte(payload)})
	check(t, err)
}

func TestEqualIDsAreDuplicatesOnOneSubjectOnly(t *testing.T) {
	h := open(t)
	js, err := jetstream.New(h.service(t))
	check(t, err)
	publish := func(subject, payload string, opts ...jetstream.PublishOpt) *jetstream.PubAck {
		t.Helper()
		ack, err := js.Publish(soon(t), subject, []byte(payload), opts...)
		check(t, err)
		return ack
	}
	first := publish("status.c1.engine", `{"text":"hi"}`, jetstream.WithMsgID("7"))
	again := publish("status.c1.engine", `{"text":"hi"}`, jetstream.WithMsgID("7"))
	if !again.Duplicate || again.Sequence != first.Sequence {
		t.Errorf("the same id: got %+v after %+v", again, first)
	}
	if body := publish("status.c1.engine", `{"text":"hi","id":"7"}`); !body.Duplicate {
		t.Errorf("the same id in the body: got %+v", body)
	}
	for _, other := range []string{"status.c1.tool", "status.c2.engine"} {
		if ack := publish(other, `{"text":"hi"}`, jetstream.WithMsgID("7")); ack.Duplicate {
			t.Errorf("%s was swallowed by the equal id of another subject: %+v", other, ack)
		}
	}
}

func TestTheOrderOfEachSubjectIsKept(t *testing.T) {
	h := open(t)
	nc := h.service(t)
	listener := h.listen(t, "status.>")
	check(t, listener.SetPendingLimits(-1, -1))
	js, err := jetstream.New(nc)
	check(t, err)
	subjects := []string{"status.c1.engine", "status.c1.tool", "status.c2.engine", "status.c2.tool", "status.c3.engine"}
	h.dir.put("c3")
	const each = 400
	for i := range each {
		for _, subject := range subjects {
			_, err := js.PublishAsync(subject, fmt.Appendf(nil, `{"text":"%d"}`, i), jetstream.WithStallWait(10*time.Second))
			check(t, err)
		}
	}
	<-js.PublishAsyncComplete()
	next := map[string]int{}
	for range each * len(subjects) {
		m, err := listener.NextMsg(10 * time.Second)
		check(t, err)
		if want := fmt.Sprintf(`"text":"%d"`, next[m.Subject]); !strings.Contains(string(m.Data), want) {
			t.Fatalf("%s: got %s, want %s", m.Subject, m.Data, want)
		}
		next[m.Subject]++
	}
}

// A service import gives the message a reply subject (_R_.…) that no client may
// publish with: the broadcaster passes the answer on by itself.
func TestAPublisherInAnotherAccountGetsItsAnswer(t *testing.T) {
	config := string(statuswire.DefaultNATSConfig())
	replace := func(old, by string) {
		t.Helper()
		if !strings.Contains(config, old) {
			t.Fatalf("nats.conf has no %q", old)
		}
		config = strings.Replace(config, old, by, 1)
	}
	replace("accounts {\n", `accounts {
  OTHER {
    users: [ { user: other, password: other } ]
    imports: [ { service: { account: STATUS, subject: "submit.*.*" } } ]
  }
`)
	replace("    exports: [\n", "    exports: [\n      { service: \"submit.*.*\", accounts: [OTHER] }\n")
	replace("auth_users: [\n", "auth_users: [\n      other\n")
	h := openConfigured(t, broadcaster.Options{}, []byte(config))
	nc, err := nats.Connect(h.engine.ClientURL(), nats.UserInfo("other", "other"))
	check(t, err)
	t.Cleanup(nc.Close)
	for i, c := range []struct{ name, subject, want string }{
		{"stored", "submit.c1.engine", `"seq":1`},
		{"refused", "submit.c1.enginee", `"err_code":20003`},
		{"stored again", "submit.c2.engine", `"seq":2`},
	} {
		answer, err := nc.RequestWithContext(soon(t), c.subject, fmt.Appendf(nil, `{"text":"%d"}`, i))
		check(t, err)
		if !strings.Contains(string(answer.Data), c.want) {
			t.Errorf("%s: got %s, want %s", c.name, answer.Data, c.want)
		}
	}
}
