package broadcaster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/status"
)

func publisher(t testing.TB, h *house, opts broadcaster.PublisherOptions) *broadcaster.Publisher {
	t.Helper()
	p, err := broadcaster.NewPublisher(h.service(t), opts)
	check(t, err)
	return p
}

func TestPublisherStoresTheWholeMessage(t *testing.T) {
	h := open(t)
	listener := h.listen(t, "status.c1.*")
	at := time.Date(2024, 1, 19, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	sent := status.Message{
		Category: "engine", Text: "a < b & c\u2028", Metadata: json.RawMessage(`{"step": 1}`),
		Timestamp: at, Priority: status.PriorityHigh, ID: "job-7",
	}
	ack, err := publisher(t, h, broadcaster.PublisherOptions{}).Publish(t.Context(), "c1", sent)
	check(t, err)
	if ack != (broadcaster.Ack{Stream: "STATUS", Sequence: 1, ID: "job-7"}) {
		t.Errorf("got %+v", ack)
	}
	m, err := listener.NextMsg(10 * time.Second)
	check(t, err)
	if !strings.Contains(string(m.Data), `"a < b & c`) {
		t.Errorf("HTML was escaped: %s", m.Data)
	}
	var got status.Message
	check(t, json.Unmarshal(m.Data, &got))
	if !got.Timestamp.Equal(at) || got.Timestamp.Location() != time.UTC {
		t.Errorf("timestamp: got %v, want %v", got.Timestamp, at)
	}
	if got.Text != sent.Text || string(got.Metadata) != `{"step":1}` || got.Priority != sent.Priority || got.ID != sent.ID {
		t.Errorf("got %+v", got)
	}
}

func TestPublisherRefusalsAreTyped(t *testing.T) {
	h := open(t)
	p := publisher(t, h, broadcaster.PublisherOptions{})
	sent := h.broadcaster.Stats().Received
	for _, c := range []struct {
		name  string
		c     status.ConversationID
		m     status.Message
		want  *status.Error
		local bool // seen without asking
	}{
		{"unknown conversation", "nobody", status.Message{Category: "engine", Text: "hi"}, status.ErrUnknownConversation, false},
		{"unknown category", "c1", status.Message{Category: "enginee", Text: "hi"}, status.ErrUnknownCategory, false},
		{"a conversation id that cannot be", "c 1", status.Message{Category: "engine", Text: "hi"}, status.ErrBadSubject, true},
		{"a wildcard", "*", status.Message{Category: "engine", Text: "hi"}, status.ErrBadSubject, true},
		{"no category", "c1", status.Message{Text: "hi"}, status.ErrBadSubject, true},
		{"no text", "c1", status.Message{Category: "engine"}, status.ErrNoText, true},
		{"text that is not UTF-8", "c1", status.Message{Category: "engine", Text: "\xff"}, status.ErrNotUTF8, true},
		{"metadata that is an array", "c1", status.Message{Category: "engine", Text: "hi", Metadata: json.RawMessage(`[]`)}, status.ErrBadMetadata, true},
		{"metadata that is no JSON", "c1", status.Message{Category: "engine", Text: "hi", Metadata: json.RawMessage(`{`)}, status.ErrNotJSON, true},
		{"a priority that is none", "c1", status.Message{Category: "engine", Text: "hi", Priority: "top"}, status.ErrBadPriority, true},
		{"an id with a line end", "c1", status.Message{Category: "engine", Text: "hi", ID: "a\nb"}, status.ErrBadID, true},
		{"too much text", "c1", status.Message{Category: "engine", Text: strings.Repeat("x", 65<<10)}, status.ErrTooLarge, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := p.Publish(t.Context(), c.c, c.m)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			var refused *status.Error
			if !errors.As(err, &refused) || refused.Description == c.want.Description && !c.local {
				t.Errorf("got %#v, want a description of this case", err)
			}
			if !c.local {
				sent++
			}
			if n := h.broadcaster.Stats().Received; n != sent {
				t.Errorf("the broadcaster has received %d, want %d", n, sent)
			}
		})
	}
}

func TestPublisherRepeatsUntilSomebodyAnswers(t *testing.T) {
	h := open(t)
	h.dir.fail(errors.New("down"))
	p := publisher(t, h, broadcaster.PublisherOptions{RetryWait: 5 * time.Millisecond})
	failed := make(chan error, 1)
	go func() {
		ack, err := p.Publish(t.Context(), "c1", status.Message{Category: "engine", Text: "hi"})
		if err == nil && (ack.Sequence != 1 || ack.ID == "") {
			err = fmt.Errorf("got %+v", ack)
		}
		failed <- err
	}()
	eventually(t, "three attempts were refused", func() bool { return h.broadcaster.Stats().Refused["unavailable"] >= 3 })
	h.dir.fail(nil)
	check(t, <-failed)
}

// An acknowledgement that is lost leads to a second attempt, which must not
// store the status twice.
func TestAnAttemptWhoseAcknowledgementIsLostIsNotStoredTwice(t *testing.T) {
	h := open(t)
	h.dir.mu.Lock()
	h.dir.hold = func(ctx context.Context, _ status.ConversationID) {
		for h.broadcaster.Stats().Received < 2 && ctx.Err() == nil { // the first waits for the second
			time.Sleep(time.Millisecond)
		}
	}
	h.dir.mu.Unlock()
	p := publisher(t, h, broadcaster.PublisherOptions{AttemptTimeout: 200 * time.Millisecond, RetryWait: time.Millisecond})
	ack, err := p.Publish(t.Context(), "c1", status.Message{Category: "engine", Text: "hi"})
	check(t, err)
	if !ack.Duplicate || ack.Sequence != 1 {
		t.Errorf("got %+v, want the duplicate of sequence 1", ack)
	}
	if n := h.count(t); n != 1 {
		t.Errorf("%d are stored", n)
	}
}

func TestPublisherGivesUpWithItsContext(t *testing.T) {
	h := open(t)
	check(t, h.broadcaster.Stop(soon(t)))
	p := publisher(t, h, broadcaster.PublisherOptions{RetryWait: 10 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := p.Publish(ctx, "c1", status.Message{Category: "engine", Text: "hi"})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("got %v, want the deadline and what happened before", err)
	}
	results, err := p.PublishBatch(ctx, []broadcaster.Outgoing{{Conversation: "c1", Message: status.Message{Category: "engine", Text: "hi"}}})
	if !errors.Is(err, context.DeadlineExceeded) || len(results) != 1 || results[0].Err == nil {
		t.Errorf("got %v and %v", results, err)
	}
}

func TestABatchHasAResultForEachStatus(t *testing.T) {
	h := open(t)
	p := publisher(t, h, broadcaster.PublisherOptions{MaxInFlight: 7})
	good := func(text string) broadcaster.Outgoing {
		return broadcaster.Outgoing{Conversation: "c1", Message: status.Message{Category: "engine", Text: text}}
	}
	var batch []broadcaster.Outgoing
	for i := range 100 {
		switch i % 10 {
		case 3:
			batch = append(batch, good(""))
		case 5:
			bad := good("hi")
			bad.Conversation = "nobody"
			batch = append(batch, bad)
		default:
			batch = append(batch, good(fmt.Sprint(i)))
		}
	}
	results, err := p.PublishBatch(t.Context(), batch)
	if !errors.Is(err, status.ErrNoText) || !strings.HasPrefix(err.Error(), "20 of 100 statuses were not stored") {
		t.Errorf("got %v", err)
	}
	last := uint64(0)
	for i, r := range results {
		switch i % 10 {
		case 3:
			if !errors.Is(r.Err, status.ErrNoText) {
				t.Errorf("%d: got %v", i, r.Err)
			}
		case 5:
			if !errors.Is(r.Err, status.ErrUnknownConversation) {
				t.Errorf("%d: got %v", i, r.Err)
			}
		default:
			if r.Err != nil || r.Ack.Sequence != last+1 || r.Ack.ID == "" {
				t.Errorf("%d: got %+v behind sequence %d", i, r, last)
			}
			last = r.Ack.Sequence
		}
	}
	t.Run("an empty batch", func(t *testing.T) {
		results, err := p.PublishBatch(t.Context(), nil)
		if err != nil || len(results) != 0 {
			t.Errorf("got %v and %v", results, err)
		}
	})
	t.Run("a batch on a closed connection", func(t *testing.T) {
		nc := h.service(t)
		closed, err := broadcaster.NewPublisher(nc, broadcaster.PublisherOptions{})
		check(t, err)
		nc.Close()
		if _, err := closed.PublishBatch(t.Context(), batch); !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("got %v", err)
		}
		if _, err := closed.Publish(t.Context(), "c1", good("hi").Message); !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestServicesDoNotBringTheServerAlong(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".", "../status").Output()
	check(t, err)
	for dependency := range strings.Lines(string(out)) {
		if strings.HasPrefix(dependency, "github.com/nats-io/nats-server") {
			t.Errorf("it depends on %s", dependency)
		}
	}
}
