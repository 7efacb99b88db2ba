package broadcaster_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/status"
)

type refusalCase struct {
	name    string
	subject string
	payload string
	header  nats.Header
	want    *status.Error
	text    string // part of the description
}

func refusalCases() []refusalCase {
	const good = `{"text":"hi"}`
	return []refusalCase{
		{"unknown category", "status.c1.enginee", good, nil, status.ErrUnknownCategory, `unknown category "enginee": conversation "c1" has engine, tool, workflow, progress, error, info, deploy`},
		{"another conversation's category", "status.c2.deploy", good, nil, status.ErrUnknownCategory, `conversation "c2" has engine`},
		{"wrong category", "status.c1.engine", `{"text":"hi","category":"tool"}`, nil, status.ErrCategoryMismatch, `category is "tool", the subject says "engine"`},
		{"no text", "status.c1.engine", `{"metadata":{}}`, nil, status.ErrNoText, "text is missing"},
		{"text not a string", "status.c1.engine", `{"text":7}`, nil, status.ErrBadText, "text is a number"},
		{"metadata not an object", "status.c1.engine", `{"text":"hi","metadata":[1]}`, nil, status.ErrBadMetadata, "metadata is an array"},
		{"65 KiB", "status.c1.engine", `{"text":"` + strings.Repeat("x", 65<<10) + `"}`, nil, status.ErrTooLarge, "66571 bytes, at most 65536"},
		{"invalid UTF-8", "status.c1.engine", "{\"text\":\"\xff\"}", nil, status.ErrNotUTF8, "not valid UTF-8 at byte 9"},
		{"invalid JSON", "status.c1.engine", `{"text":"hi"`, nil, status.ErrNotJSON, "not valid JSON"},
		{"an empty payload", "status.c1.engine", "", nil, status.ErrNotJSON, "payload is empty"},
		{"nesting 10,000 deep", "status.c1.engine", `{"text":"hi","metadata":` + strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_001), nil, status.ErrTooDeep, "deeper than 64 levels"},
		{"unknown conversation", "status.nobody.engine", good, nil, status.ErrUnknownConversation, `unknown conversation "nobody"`},
		{"a conversation id that cannot be", "status.c$1.engine", good, nil, status.ErrBadSubject, `subject "status.c$1.engine"`},
		{"a category that cannot be", "status.c1.Engine", good, nil, status.ErrBadSubject, `bad category "Engine"`},
		{"forged Nats-Sequence", "status.c1.engine", good, nats.Header{"Nats-Sequence": {"999"}}, status.ErrHeaderNotAllowed, `header "Nats-Sequence" is not allowed`},
		{"forged nats-sequence", "status.c1.engine", good, nats.Header{"nats-sequence": {"999"}}, status.ErrHeaderNotAllowed, `header "nats-sequence" is not allowed`},
		{"a rollup of the whole stream", "status.c1.engine", good, nats.Header{"Nats-Rollup": {"all"}}, status.ErrHeaderNotAllowed, `"Nats-Rollup"`},
		{"a forged Status-Priority", "status.c1.engine", good, nats.Header{"Status-Priority": {"urgent"}}, status.ErrHeaderNotAllowed, `"Status-Priority"`},
		{"a control message's Status", "status.c1.engine", good, nats.Header{"Status": {"503"}}, status.ErrHeaderNotAllowed, `"Status"`},
		{"two ids", "status.c1.engine", good, nats.Header{"Nats-Msg-Id": {"1", "2"}}, status.ErrBadHeader, "2 times"},
	}
}

func TestEachRefusalIsAnAPIErrorAndReachesNobody(t *testing.T) {
	h := open(t)
	nc := h.service(t)
	js, err := jetstream.New(nc)
	check(t, err)
	legacy, err := nc.JetStream()
	check(t, err)
	listener := h.listen(t, "status.>")
	check(t, nc.Flush())
	for _, c := range refusalCases() {
		t.Run(c.name, func(t *testing.T) {
			message := func() *nats.Msg {
				return &nats.Msg{Subject: c.subject, Header: c.header, Data: []byte(c.payload)}
			}
			_, err := js.PublishMsg(soon(t), message())
			var api *jetstream.APIError
			if !errors.As(err, &api) {
				t.Fatalf("jetstream: got %v, want an API error", err)
			}
			compare(t, c, api.Code, int(api.ErrorCode), api.Description)

			_, err = legacy.PublishMsg(message(), nats.Context(soon(t)))
			var legacyAPI *nats.APIError
			if !errors.As(err, &legacyAPI) {
				t.Fatalf("legacy: got %v, want an API error", err)
			}
			compare(t, c, legacyAPI.Code, int(legacyAPI.ErrorCode), legacyAPI.Description)

			future, err := js.PublishMsgAsync(message())
			check(t, err)
			select {
			case <-future.Ok():
				t.Error("async: got an acknowledgement")
			case err := <-future.Err():
				if !errors.As(err, &api) {
					t.Errorf("async: got %v, want an API error", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("async: no answer")
			}
		})
	}
	// A good one behind them: the first that arrives, and the first stored.
	ack, err := js.Publish(soon(t), "status.c1.engine", []byte(`{"text":"good"}`))
	check(t, err)
	if ack.Sequence != 1 {
		t.Errorf("the first good status has the sequence %d: a refused one was stored", ack.Sequence)
	}
	m, err := listener.NextMsg(10 * time.Second)
	check(t, err)
	if !strings.Contains(string(m.Data), `"text":"good"`) {
		t.Errorf("a refused status was delivered: %s", m.Data)
	}
	stats := h.broadcaster.Stats()
	if n := stats.Refused["unknown_category"]; n != 6 {
		t.Errorf("counted %d unknown categories, want 6", n)
	}
	if stats.Forwarded != 1 || stats.Unanswered != 0 {
		t.Errorf("got %+v", stats)
	}
}

func compare(t *testing.T, c refusalCase, code, errCode int, description string) {
	t.Helper()
	if code != c.want.Code || errCode != c.want.ErrCode {
		t.Errorf("got %d/%d, want %d/%d", code, errCode, c.want.Code, c.want.ErrCode)
	}
	if !strings.Contains(description, c.text) {
		t.Errorf("got %q, want it to say %q", description, c.text)
	}
}

// JetStream acknowledges to whatever reply subject it is given, with nobody's
// permissions: an acknowledgement must not become a status, a mark, a conversation
// or an order, nor a refusal; and it comes into no inbox but a publisher's.
func TestAnAnswerGoesToAnInboxAndNowhereElse(t *testing.T) {
	h := open(t)
	nc := h.service(t)
	listener := h.listen(t, "status.>")
	replies := []string{
		"ingest.c2.engine", "status.c2.engine", "submit.c2.engine", "edge.c1.join", "presence.c1", "presence.node.diff",
		"marks.x", "audit.x", "audit.admin", "admin.conversation.delete", "directory.changed.c1", "gateway.token",
		"$JS.API.STREAM.PURGE.STATUS", "$KV.directory.c1", "$SRV.PING", "consumer.create.STATUS.x", "anything.else",
		"_INBOX_gateway.abc.1", "_INBOX_edge.abc.1", "_INBOX_operator.abc.1", "_INBOX_user.alice.1", "_INBOX", "_INBOX.*", "_INBOX.a.>", "_INBOXES.a", "_R_x.a",
	}
	for _, reply := range replies {
		for _, payload := range []string{`{"text":"hi"}`, `no JSON`} {
			check(t, nc.PublishMsg(&nats.Msg{Subject: "status.c1.engine", Reply: reply, Data: []byte(payload)}))
		}
	}
	want := uint64(2 * len(replies))
	eventually(t, "all are refused", func() bool { return h.broadcaster.Stats().Refused["bad_reply"] == want })
	js, err := jetstream.New(nc)
	check(t, err)
	ack, err := js.Publish(soon(t), "status.c1.engine", []byte(`{"text":"good"}`))
	check(t, err)
	if ack.Sequence != 1 {
		t.Errorf("the first good status has the sequence %d", ack.Sequence)
	}
	m, err := listener.NextMsg(10 * time.Second)
	check(t, err)
	if !strings.Contains(string(m.Data), `"text":"good"`) {
		t.Errorf("delivered on %s: %s", m.Subject, m.Data)
	}
	if n := h.broadcaster.Stats().Unanswered; n != want {
		t.Errorf("counted %d unanswered, want %d", n, want)
	}
}

func TestARefusalWithoutReplyIsLoggedWithoutItsPayload(t *testing.T) {
	h := open(t)
	nc := h.service(t)
	for range 1000 {
		check(t, nc.Publish("status.nobody.engine", []byte(`{"text":"password=hunter2"}`)))
	}
	eventually(t, "all are refused", func() bool { return h.broadcaster.Stats().Refused["unknown_conversation"] == 1000 })
	text := h.log.String()
	for _, want := range []string{" subject=status.nobody.engine ", "unknown conversation", "err_code=20002"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q: %s", want, text)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("the payload is in the log: %s", text)
	}
	if n := strings.Count(text, "\n"); n > 15 {
		t.Errorf("%d lines for 1000 refusals", n)
	}
}

func TestADirectoryThatFailsIsPassing(t *testing.T) {
	h := open(t)
	h.dir.fail(errors.New("secret details"))
	js, err := jetstream.New(h.service(t))
	check(t, err)
	_, err = js.Publish(soon(t), "status.c1.engine", []byte(`{"text":"hi"}`))
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.Code != 503 || int(api.ErrorCode) != status.ErrUnavailable.ErrCode {
		t.Fatalf("got %v, want 503/%d", err, status.ErrUnavailable.ErrCode)
	}
	if strings.Contains(api.Description, "secret") {
		t.Errorf("internals crossed the wire: %q", api.Description)
	}
}

func TestTooManyPendingAreRefusedNotDropped(t *testing.T) {
	h := openWith(t, broadcaster.Options{Workers: 1, QueueLength: 1, MaxPendingBytes: 4096})
	release := make(chan struct{})
	h.dir.mu.Lock()
	h.dir.hold = func(ctx context.Context, _ status.ConversationID) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
	h.dir.mu.Unlock()
	nc := h.service(t)
	answers := make(chan *nats.Msg, 1000)
	inbox := nc.NewInbox()
	_, err := nc.ChanSubscribe(inbox+".*", answers)
	check(t, err)
	const n = 60 // of 130 bytes: more than 4 KiB, less than twice that
	payload := []byte(`{"text":"` + strings.Repeat("x", 119) + `"}`)
	for i := range n {
		check(t, nc.PublishMsg(&nats.Msg{Subject: "status.c1.engine", Reply: inbox + "." + strconv.Itoa(i), Data: payload}))
	}
	eventually(t, "all have arrived", func() bool { return h.nc.Stats().InMsgs >= n })
	close(release)
	stored, overloaded := 0, 0
	for range n {
		select {
		case m := <-answers:
			var answer struct{ Error *status.Error }
			check(t, json.Unmarshal(m.Data, &answer))
			switch {
			case answer.Error == nil:
				stored++
			case errors.Is(answer.Error, status.ErrOverloaded):
				overloaded++
			default:
				t.Errorf("got %v", answer.Error)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%d stored, %d overloaded, the rest has no answer", stored, overloaded)
		}
	}
	if stored == 0 || overloaded == 0 {
		t.Errorf("%d stored, %d overloaded", stored, overloaded)
	}
}

func TestOneInboxForManyPublishesGetsEveryRefusal(t *testing.T) {
	h := open(t)
	nc := h.service(t)
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	check(t, err)
	const n = 100
	for range n {
		check(t, nc.PublishRequest("status.c1.engine", inbox, []byte(`{"text":7}`)))
	}
	for i := range n {
		if _, err := answers.NextMsg(10 * time.Second); err != nil {
			t.Fatalf("%d of %d refusals arrived: %v", i, n, err)
		}
	}
}
