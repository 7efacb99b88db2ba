package edge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

func TestUsersTakeTurnsHoweverLongTheirLines(t *testing.T) {
	turns := edge.NewTurns(1, 1, 1000, 100)
	var order []string
	line := func(u status.UserID, n int) {
		for i := range n {
			if !turns.Enter(u) {
				t.Fatal("refused")
			}
			turns.Await(u, func() { order = append(order, fmt.Sprint(u, i)) })
		}
	}
	line("a", 6)
	line("b", 2)
	line("c", 1)
	for i := 0; i < len(order); i++ {
		u := status.UserID(order[i][:1])
		turns.End(u, 0)
		turns.Leave(u)
	}
	if got, want := strings.Join(order, " "), "a0 b0 c0 a1 b1 a2 a3 a4 a5"; got != want {
		t.Errorf("the order is %q, want %q", got, want)
	}
	if n := turns.Known(); n != 0 {
		t.Errorf("%d users are remembered", n)
	}
}

func TestAUserRestsWhileOthersHaveThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := edge.NewTurns(2, 1, 100, 100)
		var order []string
		began := time.Now()
		for _, u := range []status.UserID{"a", "a", "a", "b"} {
			turns.Enter(u)
			turns.Await(u, func() { order = append(order, fmt.Sprint(u, " ", time.Since(began))) })
		}
		turns.End("a", 10*time.Millisecond)
		turns.End("b", 0)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if want := []string{"a 0s", "b 0s", "a 10ms"}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v", order, want)
		}
	})
}

// Twenty sockets of one user that joined a conversation with large statuses took what
// one processor could do, most of it behind the edge.
func TestTheAnswersToOneUserHaveAShareOfTheBytes(t *testing.T) {
	service := start(t, setup{opts: edge.Options{UserBytesPerSecond: 64 << 20, UserSteadyBytesPerSecond: 1 << 10, UserBurstBytes: 64 << 10}}).service
	for _, tt := range []struct {
		name  string
		took  time.Duration
		bytes int
		want  time.Duration
	}{
		{"a small one rests as long as it took", 3 * time.Millisecond, 100, 3 * time.Millisecond},
		{"one that waited for others does not rest as long", time.Second, 100, 20 * time.Millisecond},
		{"a large one that is all the user may have at once", 3 * time.Millisecond, 64<<10 - 200, 3 * time.Millisecond},
	} {
		if got := service.RestAfter("u", tt.took, tt.bytes); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	// The time that the test has taken has given some back.
	if got := service.RestAfter("u", time.Millisecond, 100<<10); got > 100*time.Second || got < 40*time.Second {
		t.Errorf("100 KiB more at 1 KiB a second rest for %v", got)
	}
	if got := service.RestAfter("other", time.Millisecond, 100); got != time.Millisecond {
		t.Errorf("another user rests for %v", got)
	}
}

func TestAnAllowanceIsAPeakAndThenASteadyRate(t *testing.T) {
	allowance := edge.NewAllowance(10_000, 1000, 5000)
	now := time.Unix(1e9, 0)
	for i, step := range []struct {
		after time.Duration
		bytes int
		want  time.Duration
	}{
		{0, 2000, 200 * time.Millisecond},                      // at the peak
		{0, 2000, 400 * time.Millisecond},                      // which holds although there is more
		{400 * time.Millisecond, 1400, 140 * time.Millisecond}, // 1400 more would be the burst
		{140 * time.Millisecond, 1140, time.Second},            // beyond it: 140 have gathered
		{time.Second, 2000, 2 * time.Second},                   // no more than the steady rate
		{time.Hour, 5000, 500 * time.Millisecond},              // no more than the burst has gathered
		{500 * time.Millisecond, 1000, 500 * time.Millisecond},
	} {
		now = now.Add(step.after)
		if got := allowance.Spend(now, "u", step.bytes); got != step.want {
			t.Errorf("step %d: rests for %v, want %v", i, got, step.want)
		}
	}
	if got := edge.NewAllowance(0, 0, 0).Spend(now, "u", 1<<40); got != 0 {
		t.Errorf("without a bound: rests for %v", got)
	}
}

// Each user that had asked once would be remembered for good.
func TestAnAllowanceForgetsWhoHasItAllAgain(t *testing.T) {
	allowance := edge.NewAllowance(10_000, 1000, 5000)
	now := time.Unix(1e9, 0)
	for i := range 10_000 {
		allowance.Spend(now, status.UserID(fmt.Sprint("u", i)), 1000)
		now = now.Add(10 * time.Millisecond) // 100 of them have spent within a second
	}
	if n := allowance.Users(); n > 250 {
		t.Errorf("%d users are remembered", n)
	}
}

func TestABatchRestsUntilItsBytesAreTheUsersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replays := edge.NewReplays(1 << 20)
		began := time.Now()
		var mu sync.Mutex
		var order []string
		for _, u := range []status.UserID{"a", "a", "a", "a", "b"} {
			if !replays.Enter(u) {
				t.Fatal("one too many")
			}
			go func() {
				err := replays.Turn(t.Context(), u, func() (int, bool, error) {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, fmt.Sprint(u, " ", time.Since(began).Round(time.Millisecond)))
					return 256 << 10, true, nil
				})
				if err != nil {
					t.Error(err)
				}
				replays.Leave(u)
			}()
			synctest.Wait() // so that they wait in this order
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if want := []string{"a 0s", "a 0s", "b 0s", "a 250ms", "a 500ms"}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v", order, want)
		}
	})
}

func TestWhoHasStoppedWaitingTakesNoPlace(t *testing.T) {
	turns := edge.NewTurns(1, 1, 100, 2)
	for _, u := range []status.UserID{"a", "a", "b"} {
		turns.Enter(u)
	}
	if turns.Enter("a") {
		t.Error("one too many of a")
	}
	turns.Await("a", func() {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := turns.Begin(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	given := false
	abandon := turns.Await("b", func() { given = true })
	turns.End("a", 0)
	if !given || abandon() {
		t.Error("the place was not given to who waits")
	}
	turns.End("b", 0)
	for _, u := range []status.UserID{"a", "a", "b"} {
		turns.Leave(u)
	}
	if n := turns.Known(); n != 0 {
		t.Errorf("%d users are remembered", n)
	}
}

// Whatever happens: no more places than there are, none unused that somebody could have,
// and nobody waits while others are served twice.
func TestTurnsKeepTheirBoundsAndForgetNobody(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			places, userPlaces, userEntered := 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(5)
			turns := edge.NewTurns(places, userPlaces, 12, userEntered)
			var mu sync.Mutex // guards what follows
			placed, entered := map[status.UserID]int{}, map[status.UserID]int{}
			done, all := 0, 0
			for range 60 {
				u := status.UserID(fmt.Sprint("u", r.IntN(5)))
				patience, work, rest := time.Duration(1+r.IntN(40)), time.Duration(r.IntN(10)), time.Duration(r.IntN(4))
				if !turns.Enter(u) {
					continue
				}
				mu.Lock()
				if entered[u]++; entered[u] > userEntered {
					t.Errorf("%d of a user, %d may be", entered[u], userEntered)
				}
				all++
				mu.Unlock()
				go func() { // ends before the bubble does
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					if turns.Begin(ctx, u) == nil {
						mu.Lock()
						placed[u]++
						sum := 0
						for _, n := range placed {
							sum += n
						}
						if placed[u] > userPlaces || sum > places {
							t.Errorf("%v have places, %d may, %d of a user", placed, places, userPlaces)
						}
						mu.Unlock()
						time.Sleep(work)
						mu.Lock()
						placed[u]--
						mu.Unlock()
						turns.End(u, rest)
					}
					mu.Lock()
					entered[u]--
					done++
					mu.Unlock()
					turns.Leave(u)
				}()
				time.Sleep(time.Duration(r.IntN(3)))
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if done != all || turns.Known() != 0 {
				t.Errorf("%d of %d have ended, %d users are remembered", done, all, turns.Known())
			}
		})
	}
}

// held is a history in which the snapshots of one conversation wait.
type held struct {
	gate
	conversation status.ConversationID
}

func (h held) Snapshot(ctx context.Context, c status.ConversationID) (history.Snapshot, error) {
	if c == h.conversation {
		return h.gate.Snapshot(ctx, c)
	}
	return history.Snapshot{UpToSequence: 7}, nil
}

// 20 sockets of one user had everybody's joins wait for seconds.
func TestJoinsOfOneUserHoldUpNobodyElses(t *testing.T) {
	g := newGate()
	r := start(t, setup{history: held{g, "c1"}, opts: edge.Options{AtOnce: 4, UserAtOnce: 2, UserWaiting: 10}})
	answers := make(chan *nats.Msg, 1000)
	inbox := r.gateway.NewInbox()
	sub, err := r.gateway.ChanSubscribe(inbox, answers)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	const flood = 40
	for range flood {
		if err := r.gateway.PublishRequest("edge.c1.join.alice", inbox, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range flood - 2 - 10 { // what is one too many is told at once, and that it is passing
		select {
		case m := <-answers:
			if e := errorOf(t, m); !errors.Is(e, status.ErrTooManyRequests) || !e.Retryable() {
				t.Fatalf("got %s", m.Data)
			}
		case <-time.After(soon):
			t.Fatal("the flood is not bounded")
		}
	}
	for range 2 {
		<-g.entered
	}
	// Alice has what one user may have, and there is room for others.
	for range 20 {
		if w, refusal, _ := ask(t, r.gateway, "edge.c2.join."+status.UserID("carol@example.com").Token()); refusal != nil || w.Snapshot.UpToSequence != 7 {
			t.Fatalf("another user's join: %+v", refusal)
		}
	}
	if len(g.entered) > 0 {
		t.Fatal("more of one user's are answered at once than may be")
	}
	close(g.open)
	for range 2 + 10 {
		select {
		case m := <-answers:
			if e := errorOf(t, m); e != nil {
				t.Errorf("one that waited: %v", e)
			}
		case <-time.After(soon):
			t.Fatal("one that waited has no answer")
		}
	}
}

// errorOf is the refusal that the answer is; nil for none.
func errorOf(t *testing.T, m *nats.Msg) *status.Error {
	t.Helper()
	var body struct{ Error *status.Error }
	if err := json.Unmarshal(m.Data, &body); err != nil {
		t.Fatalf("%v in %s", err, m.Data)
	}
	return body.Error
}
