package edge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// gate is a history that answers when it is opened, or what it is told to.
type gate struct {
	entered chan struct{} // one for each request that waits
	open    chan struct{}
}

func newGate() gate { return gate{entered: make(chan struct{}, 1000), open: make(chan struct{})} }

func (g gate) Snapshot(ctx context.Context, c status.ConversationID) (history.Snapshot, error) {
	if c == "c2" {
		panic("no such stream")
	}
	g.entered <- struct{}{}
	select {
	case <-g.open:
		return history.Snapshot{UpToSequence: 7}, nil
	case <-ctx.Done():
		return history.Snapshot{}, ctx.Err()
	}
}

// Replay implements edge.History; nobody here reads one.
func (g gate) Replay(history.Query) *history.Replay { panic("no such stream") }

func TestASlowHistoryIsPassing(t *testing.T) {
	r := start(t, setup{history: newGate(), opts: edge.Options{Timeout: 100 * time.Millisecond}})
	_, refusal, header := ask(t, r.operator, "edge.c1.join")
	if !errors.Is(refusal, status.ErrUnavailable) || !refusal.Retryable() || header.Get(micro.ErrorCodeHeader) != "503" {
		t.Errorf("refusal %+v, headers %v", refusal, header)
	}
}

// down is a directory that does not work.
type down struct{}

func (down) Conversation(context.Context, status.ConversationID) (directory.Conversation, error) {
	return directory.Conversation{}, fmt.Errorf("dial 10.0.0.7:5432: %w", directory.ErrUnavailable)
}

func TestADirectoryThatFailsIsPassingAndKeepsItsAddress(t *testing.T) {
	r := start(t, setup{directory: down{}})
	_, refusal, _ := ask(t, r.operator, "edge.c1.join")
	if !errors.Is(refusal, status.ErrUnavailable) || refusal.Description != "the answer is not available at the moment: ask again" {
		t.Errorf("refusal %+v", refusal)
	}
}

func TestAPanicEndsOneRequestOnly(t *testing.T) {
	g := newGate()
	close(g.open)
	r := start(t, setup{history: g, opts: edge.Options{AtOnce: 1}})
	if _, refusal, _ := ask(t, r.operator, "edge.c2.join"); !errors.Is(refusal, status.ErrUnavailable) {
		t.Errorf("the one that panics: %+v", refusal)
	}
	if w, refusal, _ := ask(t, r.operator, "edge.c1.join"); refusal != nil || w.Snapshot.UpToSequence != 7 {
		t.Errorf("the next: %+v, %+v", w, refusal)
	}
}

func TestRequestsAreAnsweredAtTheSameTimeUpToABound(t *testing.T) {
	g := newGate()
	r := start(t, setup{history: g, opts: edge.Options{AtOnce: 2, Waiting: 1}})
	var waiting sync.WaitGroup
	answers := make(chan error, 3)
	wait := func() {
		waiting.Go(func() {
			m, err := r.operator.Request("edge.c1.join", nil, soon)
			if err == nil && m.Header.Get(micro.ErrorHeader) != "" {
				err = errors.New(m.Header.Get(micro.ErrorHeader))
			}
			answers <- err
		})
	}
	wait()
	wait()
	<-g.entered // both workers wait at the same time
	<-g.entered
	wait() // the queue's

	// One more is refused; that it is not the queued one shows the order: first
	// come, first served.
	var refusal *status.Error
	for end := time.Now().Add(5 * time.Second); refusal == nil && time.Now().Before(end); {
		_, refusal, _, _ = request(r.operator, "edge.c1.join", 100*time.Millisecond)
	}
	if !errors.Is(refusal, status.ErrOverloaded) {
		t.Errorf("refusal %+v, want overloaded", refusal)
	}
	close(g.open)
	waiting.Wait()
	refused := 0
	for range 3 {
		if err := <-answers; err != nil {
			refused++
		}
	}
	if refused > 1 {
		t.Errorf("%d of three who came first were refused", refused)
	}
	if s := r.service.Stats()["join"]; s.Answered < 2 || s.Refused == 0 || s.LastRefusal != status.ErrOverloaded.ErrCode {
		t.Errorf("stats %+v", s)
	}
}

func TestStopAnswersWhoWaits(t *testing.T) {
	g := newGate()
	r := start(t, setup{history: g})
	answer := make(chan error, 1)
	go func() { // ends when the gate opens
		_, refusal, _, err := request(r.operator, "edge.c1.join", soon)
		if refusal != nil {
			err = refusal
		}
		answer <- err
	}()
	<-g.entered
	stopped := make(chan error, 1)
	go func() { stopped <- r.service.Stop(context.Background()) }() // ends when the gate opens
	select {
	case err := <-stopped:
		t.Fatalf("Stop returned %v while a request waited", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(g.open)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := <-answer; err != nil {
		t.Errorf("who waited: %v", err)
	}
	if _, err := r.operator.Request("edge.c1.join", nil, soon); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after Stop: %v, want no responders", err)
	}
	if err := r.service.Stop(context.Background()); err != nil {
		t.Errorf("stopping twice: %v", err)
	}
	if err := r.service.Start(t.Context()); !errors.Is(err, edge.ErrStarted) {
		t.Errorf("start after stop: %v", err)
	}
}

func TestStopWithoutTimeRefusesWhoWaits(t *testing.T) {
	g := newGate() // stays shut
	r := start(t, setup{history: g})
	answer := make(chan *status.Error, 1)
	go func() { // ends with the refusal
		_, refusal, _, err := request(r.operator, "edge.c1.join", soon)
		if err != nil {
			t.Error(err)
		}
		answer <- refusal
	}()
	<-g.entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.service.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v, want the context's error", err)
	}
	if refusal := <-answer; !errors.Is(refusal, status.ErrUnavailable) {
		t.Errorf("refusal %v, want unavailable", refusal)
	}
}

func TestItIsAMicroService(t *testing.T) {
	r := start(t, setup{})
	ask(t, r.operator, "edge.c1.join")
	m, err := r.operator.Request("$SRV.STATS.edge", nil, soon)
	if err != nil {
		t.Fatal(err)
	}
	var stats micro.Stats
	if err := json.Unmarshal(m.Data, &stats); err != nil {
		t.Fatal(err)
	}
	if len(stats.Endpoints) != 6 {
		t.Fatalf("endpoints %+v", stats.Endpoints)
	}
	for _, e := range stats.Endpoints {
		var ours edge.EndpointStats
		if err := json.Unmarshal(e.Data, &ours); err != nil {
			t.Fatal(err)
		}
		if want := map[string]uint64{"edge.*.join": 1, "edge.*.join.*": 0}[e.Subject]; ours.Answered != want {
			t.Errorf("%s: %+v, want %d answered", e.Subject, ours, want)
		}
	}
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	for _, o := range []edge.Options{
		{AtOnce: -1}, {UserAtOnce: -1}, {Waiting: -1}, {UserWaiting: -1}, {MaxAnswerBytes: -1}, {Timeout: -1}, {Limits: edge.Limits{Categories: -1}},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if err := edge.DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
}
