package edge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// moment is how long a test looks whether something comes that must not.
const moment = 100 * time.Millisecond

// batch reads up to the part that asks whether there is room, and returns the
// subject to tell it on.
func (a teller) batch(t testing.TB) (parts []*nats.Msg, flow string) {
	t.Helper()
	for {
		m := a.next(t, soon)
		if m == nil || m.Header.Get(status.HeaderSubject) == "" {
			t.Fatalf("the answer ends after %d parts of a batch: %v", len(parts), m)
		}
		parts = append(parts, m)
		if m.Reply != "" {
			return parts, m.Reply
		}
	}
}

// stalls is true when nothing comes.
func (a teller) stalls(t testing.TB) bool {
	t.Helper()
	return a.next(t, moment) == nil
}

func (a teller) room(t testing.TB, flow string) {
	t.Helper()
	if err := a.nc.Publish(flow, nil); err != nil {
		t.Fatal(err)
	}
}

func TestABrowsersHistoryWaitsForRoom(t *testing.T) {
	r := start(t, setup{})
	r.fill(t, 500, `{"text":"x"}`)
	a := tell(t, r.gateway, aliceAsks, "")
	got := 0
	for range 2 {
		parts, flow := a.batch(t)
		if len(parts) > history.MaxBatch || !strings.HasPrefix(flow, "edge.c1.flow.") {
			t.Fatalf("%d parts, then %s", len(parts), flow)
		}
		got += len(parts)
		if !a.stalls(t) {
			t.Fatalf("it goes on after %d without room", got)
		}
		// Others' words, and forged ones, do not count.
		a.room(t, "edge.c1.flow.x")
		a.room(t, flow+"x")
		if !a.stalls(t) {
			t.Fatal("it goes on although another's answer has room")
		}
		a.room(t, flow)
	}
	rest := a.rest(t)
	if got += len(rest.parts); got != 500 || rest.last.Header.Get(status.HeaderMore) != "" {
		t.Errorf("%d statuses, last %v", got, rest.last.Header)
	}
	if n := len(rest.parts); rest.parts[n-1].Reply != "" {
		t.Error("the last batch asks for room")
	}
}

func TestNobodyButTheGatewayTellsThatThereIsRoom(t *testing.T) {
	r := start(t, setup{})
	r.fill(t, 300, `{"text":"x"}`)
	a := tell(t, r.gateway, aliceAsks, "")
	_, flow := a.batch(t)
	if err := r.operator.Publish(flow, nil); err != nil { // refused by nats.conf
		t.Fatal(err)
	}
	if err := r.operator.Flush(); err != nil {
		t.Fatal(err)
	}
	if !a.stalls(t) {
		t.Error("an operator's word counts")
	}
}

func TestAnOperatorsHistoryIsNotPaced(t *testing.T) {
	r := start(t, setup{})
	r.fill(t, 500, `{"text":"x"}`)
	got := askHistory(t, r.operator, "edge.c1.history", "")
	if len(got.parts) != 500 || slices.ContainsFunc(got.parts, func(m *nats.Msg) bool { return m.Reply != "" }) {
		t.Errorf("%d statuses", len(got.parts))
	}
}

func TestAHistoryThatIsPacedAwayEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		opts edge.HistoryOptions
		room bool // the browser reads, but slowly
	}{
		{"no room in time", edge.HistoryOptions{FlowTimeout: 50 * time.Millisecond}, false},
		{"too old", edge.HistoryOptions{MaxAge: 300 * time.Millisecond}, false},
		{"too old, although there is room", edge.HistoryOptions{MaxAge: 300 * time.Millisecond}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, setup{opts: edge.Options{History: c.opts}})
			r.fill(t, 10_000, `{"text":"x"}`)
			a := tell(t, r.gateway, aliceAsks, `{"limit":10000}`)
			got := 0
			for {
				m := a.next(t, soon)
				if m == nil {
					t.Fatal("it does not end")
				}
				if m.Header.Get(status.HeaderSubject) == "" {
					if m.Header.Get(status.HeaderMore) != "true" || number(m, status.HeaderNextAfter) != uint64(got) || number(m, status.HeaderCount) != uint64(got) {
						t.Errorf("after %d statuses: %v %s", got, m.Header, m.Data)
					}
					break
				}
				got++
				if m.Reply != "" && c.room {
					time.AfterFunc(20*time.Millisecond, func() { r.gateway.Publish(m.Reply, nil) })
				}
			}
			if got == 0 || got >= 10_000 {
				t.Errorf("%d statuses came", got)
			}
			if more := askHistory(t, r.gateway, aliceAsks, fmt.Sprintf(`{"after":%d,"limit":1}`, got)); more.refusal != nil {
				t.Errorf("asked again: %v", more.refusal)
			}
		})
	}
}

func TestOneAnswerIsBoundedInBytes(t *testing.T) {
	r := start(t, setup{opts: edge.Options{History: edge.HistoryOptions{MaxBytes: 300 << 10}}})
	last := r.fill(t, 50, `{"text":"`+strings.Repeat("x", 20<<10)+`"}`)
	var all []uint64
	for after := uint64(0); after < last; {
		got := askHistory(t, r.gateway, aliceAsks, fmt.Sprintf(`{"after":%d}`, after))
		size := 0
		for _, m := range got.parts {
			size += len(m.Data)
		}
		if size > 300<<10 || len(got.parts) < 10 && got.last.Header.Get(status.HeaderMore) == "true" {
			t.Fatalf("%d statuses of %d bytes", len(got.parts), size)
		}
		all, after = append(all, got.sequences()...), number(got.last, status.HeaderNextAfter)
		if more := got.last.Header.Get(status.HeaderMore) == "true"; more != (after < last) {
			t.Fatalf("more %v after %d of %d", more, after, last)
		}
	}
	if len(all) != 50 || all[49] != last || !slices.IsSorted(all) {
		t.Errorf("all together: %v", all)
	}
}

func TestHistoriesAtOnceAreBoundedForEachUserAndForAll(t *testing.T) {
	r := start(t, setup{opts: edge.Options{History: edge.HistoryOptions{PerUser: 2, AtOnce: 3, Waiting: 1}}})
	r.fill(t, 300, `{"text":"x"}`)
	var waiting []teller
	var flows []string
	var first []int
	hang := func(subject string) {
		t.Helper()
		a := tell(t, r.gateway, subject, "")
		parts, flow := a.batch(t)
		waiting, flows, first = append(waiting, a), append(flows, flow), append(first, len(parts))
	}
	hang(aliceAsks)
	hang(aliceAsks)
	got := askHistory(t, r.gateway, aliceAsks, "")
	if !errors.Is(got.refusal, status.ErrTooManyReplays) || !got.refusal.Retryable() || !strings.Contains(got.refusal.Description, "wait until one has ended") {
		t.Errorf("alice's third: %+v", got.refusal)
	}
	hang("edge.c1.history.bob")
	hang("edge.c1.history.bob") // once one of the others has given its place back
	if got := askHistory(t, r.operator, "edge.c1.history", ""); !errors.Is(got.refusal, status.ErrOverloaded) {
		t.Errorf("the fifth of all: %+v", got.refusal)
	}
	// Meanwhile nothing else waits.
	for range 50 {
		if _, refusal, _ := ask(t, r.operator, "edge.c1.join"); refusal != nil {
			t.Fatal(refusal)
		}
	}
	for i, a := range waiting {
		a.room(t, flows[i])
		if rest := a.rest(t); rest.refusal != nil || first[i]+len(rest.parts) != 300 {
			t.Errorf("one that waited: %d statuses, %v", len(rest.parts), rest.refusal)
		}
	}
}

// Browsers that do not read leave their places to those that do.
func TestWhoDoesNotReadHoldsUpNobody(t *testing.T) {
	r := start(t, setup{opts: edge.Options{History: edge.HistoryOptions{AtOnce: 2, WaitTimeout: 5 * time.Second}}})
	r.fill(t, 300, `{"text":"x"}`)
	var asleep []teller
	var flows []string
	var first []int
	for range 2 {
		a := tell(t, r.gateway, aliceAsks, "")
		parts, flow := a.batch(t)
		asleep, flows, first = append(asleep, a), append(flows, flow), append(first, len(parts))
	}
	if got := askHistory(t, r.operator, "edge.c1.history", ""); got.refusal != nil || len(got.parts) != 300 {
		t.Errorf("one that reads: %d statuses, %v", len(got.parts), got.refusal)
	}
	for i, a := range asleep {
		a.room(t, flows[i])
		if rest := a.rest(t); rest.refusal != nil || first[i]+len(rest.parts) != 300 {
			t.Errorf("one that wakes up: %d statuses, %v", len(rest.parts), rest.refusal)
		}
	}
}

// Who has the last message of an answer has its place back.
func TestTheNextHistoryCanBeAskedForAtOnce(t *testing.T) {
	r := start(t, setup{opts: edge.Options{History: edge.HistoryOptions{PerUser: 1}}})
	r.fill(t, 1, `{"text":"x"}`)
	for i := range 500 {
		body := [2]string{"", "no request"}[i%2]
		if got := askHistory(t, r.gateway, aliceAsks, body); got.refusal != nil && errors.Is(got.refusal, status.ErrTooManyReplays) {
			t.Fatalf("number %d: %v", i+1, got.refusal)
		}
	}
}

// Who has left holds no place: its user may be back already.
func TestAHistoryEndsWhenItsReaderHasGone(t *testing.T) {
	r := start(t, setup{opts: edge.Options{History: edge.HistoryOptions{PerUser: 1}}})
	r.fill(t, 300, `{"text":"x"}`)
	a := tell(t, r.gateway, aliceAsks, "")
	parts, flow := a.batch(t)
	for range 2 {
		if err := r.gateway.Publish(flow, []byte(status.EdgeFlowGone)); err != nil {
			t.Fatal(err)
		}
	}
	last := a.next(t, soon)
	if last == nil || last.Header.Get(status.HeaderMore) != "true" || number(last, status.HeaderCount) != uint64(len(parts)) {
		t.Fatalf("after %d statuses: %v", len(parts), last)
	}
	if got := askHistory(t, r.gateway, aliceAsks, `{"limit":1}`); got.refusal != nil {
		t.Errorf("asked again: %v", got.refusal)
	}
}

// A gateway waits only so long for the next part: who looks for what is rare is told
// in time how far the reading has come.
func TestAHistoryThatFindsNothingForLongSaysHowFarItIs(t *testing.T) {
	r := start(t, setup{opts: edge.Options{History: edge.HistoryOptions{FlowTimeout: time.Millisecond}}})
	last := r.fill(t, 3000, `{"text":"x"}`)
	answers := 0
	for after, more := uint64(0), true; more; answers++ {
		got := askHistory(t, r.gateway, aliceAsks, fmt.Sprintf(`{"after":%d,"min_priority":"urgent"}`, after))
		more = got.last.Header.Get(status.HeaderMore) == "true"
		next := number(got.last, status.HeaderNextAfter)
		if got.refusal != nil || len(got.parts) > 0 || next <= after || more != (next < last) {
			t.Fatalf("after %d: %d statuses, %v, %v", after, len(got.parts), got.last.Header, got.refusal)
		}
		after = next
	}
	if answers < 2 {
		t.Error("it was one answer")
	}
}

// stuck is a directory that answers when it is opened.
type stuck struct{ entered, open chan struct{} }

func (s stuck) Conversation(context.Context, status.ConversationID) (directory.Conversation, error) {
	s.entered <- struct{}{}
	<-s.open
	return directory.Conversation{}, directory.ErrNotFound
}

// A request that waits for a place is told when there is none in time, and when the
// service stops.
func TestAHistoryDoesNotWaitForeverForItsPlace(t *testing.T) {
	for _, c := range []struct {
		name string
		wait time.Duration
		stop bool
		want *status.Error
	}{
		{"none in time", 50 * time.Millisecond, false, status.ErrOverloaded},
		{"the edge stops", soon, true, status.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := stuck{entered: make(chan struct{}, 1), open: make(chan struct{})}
			r := start(t, setup{directory: d, opts: edge.Options{History: edge.HistoryOptions{AtOnce: 1, WaitTimeout: c.wait}}})
			t.Cleanup(func() { close(d.open) })
			tell(t, r.gateway, aliceAsks, "")
			<-d.entered // it has the place
			second := tell(t, r.gateway, "edge.c1.history.bob", "")
			if c.stop {
				if err := r.gateway.Flush(); err != nil { // it has reached the edge's subscription
					t.Fatal(err)
				}
				go func() { _ = r.service.Stop(t.Context()) }()
			}
			if got := second.rest(t); !errors.Is(got.refusal, c.want) || !got.refusal.Retryable() || len(got.parts) > 0 {
				t.Errorf("%d statuses, refusal %v", len(got.parts), got.refusal)
			}
		})
	}
}

// One user with as many histories as are allowed delays another's by as many
// batches as that are, and not by their whole length.
func TestBatchesOfDifferentRequestsTakeTurns(t *testing.T) {
	r := start(t, setup{})
	r.fill(t, 10_000, `{"text":"x"}`)
	// One subscription for all: its order is the order in which the edge has sent.
	inbox := r.gateway.NewInbox()
	all := make(chan *nats.Msg, 100_000)
	sub, err := r.gateway.ChanSubscribe(inbox+".*", all)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	const greedy = 4
	for i := range greedy {
		if err := r.gateway.PublishRequest(aliceAsks, fmt.Sprintf("%s.alice%d", inbox, i), []byte(`{"limit":10000}`)); err != nil {
			t.Fatal(err)
		}
	}
	under := map[string]bool{}
	asked := false
	between, most, bobs, ended := 0, 0, 0, 0
	for ended < greedy+1 {
		var m *nats.Msg
		select {
		case m = <-all:
		case <-time.After(soon):
			t.Fatalf("nothing more; %d have ended", ended)
		}
		who := m.Subject[len(inbox)+1:]
		switch {
		case m.Header.Get(status.HeaderSubject) == "":
			if ended++; who == "bob" && ended > 1 {
				t.Error("one of alice's, five times as long, ended before bob's")
			}
			continue
		case who == "bob":
			bobs++
		}
		if m.Reply == "" {
			continue
		}
		if err := r.gateway.Publish(m.Reply, nil); err != nil {
			t.Fatal(err)
		}
		if who == "bob" {
			most = max(most, between)
			between = 0
		} else if asked {
			between++
		}
		if under[who] = true; len(under) == greedy && !asked {
			asked = true
			if err := r.gateway.PublishRequest("edge.c1.history.bob", inbox+".bob", []byte(`{"limit":2000}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// In one round each of alice's has one batch; what is sent and not yet received
	// makes it up to two rounds more.
	if bobs != 2000 || most > 3*greedy {
		t.Errorf("bob has %d statuses, and up to %d batches of alice's before one of his", bobs, most)
	}
}

func TestStopEndsAHistoryWithWhereToGoOn(t *testing.T) {
	r := start(t, setup{})
	r.fill(t, 500, `{"text":"x"}`)
	paced := tell(t, r.gateway, aliceAsks, "")
	parts, _ := paced.batch(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	begun := time.Now()
	if err := r.service.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Stop took %v: it waited for the browser", took)
	}
	last := paced.next(t, soon)
	if last == nil || last.Header.Get(status.HeaderMore) != "true" || number(last, status.HeaderNextAfter) != number(parts[len(parts)-1], status.HeaderSequence) {
		t.Errorf("last message %v", last)
	}
}

func TestAHistoryEndsWithTheAccess(t *testing.T) {
	r := start(t, setup{})
	r.fill(t, 500, `{"text":"x"}`)
	a := tell(t, r.gateway, "edge.c1.history.bob", "")
	_, flow := a.batch(t)
	if _, err := r.directory.RemoveMember(t.Context(), "c1", "bob"); err != nil {
		t.Fatal(err)
	}
	a.room(t, flow)
	if rest := a.rest(t); !errors.Is(rest.refusal, status.ErrNotTheirs) || len(rest.parts) > 0 {
		t.Errorf("%d statuses more, refusal %v", len(rest.parts), rest.refusal)
	}
}
