//go:build e2e

package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/status"
)

// The storm: so many changes of access a second, under so many browsers.
const (
	stormUsers         = 67
	stormBrowsers      = 201 // three of each user
	stormConversations = 20
	stormMemberships   = 4 // conversations that each user may be a member of
	stormChanges       = 50
	stormTime          = 20 * time.Second
	stormRate          = 5 // statuses of each conversation a second

	// accessDelay is how old the access may be that a delivery goes by.
	accessDelay = time.Second
	// accessRest is between two changes of one membership: longer than
	// accessDelay, so that each change has its effect.
	accessRest = 1500 * time.Millisecond
)

// span is a time from before something began to after it had ended; 0: not yet.
type span struct{ from, to int64 }

func (s span) String() string {
	return fmt.Sprintf("%v to %v", time.Duration(s.from), time.Duration(s.to))
}

// membership is one user in one conversation.
type membership struct {
	user         status.UserID
	conversation status.ConversationID

	mu      sync.Mutex // guards what follows
	member  bool
	changed time.Time
	access  []span // from before the add was asked for, to after the removal was answered
	steady  []span // from after the add was answered, to before the removal was asked for
}

// stormSub is one subscription of one browser, from its SUB to its end.
type stormSub struct {
	of      *membership
	ready   int64        // when the SUB was known to have its effect
	ended   atomic.Int64 // when its error arrived; 0: never
	heard   []int        // numbers of the statuses; nats.go's goroutine of the subscription alone, as
	at      []int64      // when each arrived
	revoked chan struct{}
}

// stormStatus is one status of a conversation.
type stormStatus struct{ began, acked int64 }

func TestAccessChangesUnderLoad(t *testing.T) {
	for _, links := range []string{"close", "keep"} {
		t.Run("links: "+links, func(t *testing.T) { accessStorm(t, links) })
	}
}

func accessStorm(t *testing.T, links string) {
	s := startStatuswire(t, "--config", writeConfig(t, `
links: `+links+`
limits { subscription_changes: 10000, categories: 100, connections_per_address: 1000, upgrades_per_address: 1000 }`))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client := admin.NewClient(connectAs(t, s, "operator"), admin.OperatorName)
	began := time.Now()
	now := func() int64 { return int64(time.Since(began)) }

	conversations := make([]status.ConversationID, stormConversations)
	for i := range conversations {
		conversations[i] = status.ConversationID(fmt.Sprintf("storm%d", i))
		if _, err := client.Create(ctx, admin.CreateRequest{ID: conversations[i], Owner: "owner"}); err != nil {
			t.Fatal(err)
		}
	}
	var all []*membership
	ofUser := map[int][]*membership{}
	for u := range stormUsers {
		for i := range stormMemberships {
			m := &membership{user: status.UserID(fmt.Sprintf("user%d", u)), conversation: conversations[(u*3+i*7)%stormConversations], member: true}
			from := now()
			if _, err := client.Add(ctx, m.conversation, m.user); err != nil {
				t.Fatal(err)
			}
			m.access, m.steady = []span{{from: from}}, []span{{from: now()}}
			all, ofUser[u] = append(all, m), append(ofUser[u], m)
		}
	}

	// Browsers: nats.go over WebSocket. What ends is subscribed to again once
	// the membership is back.
	var (
		subsMu    sync.Mutex
		subs      []*stormSub
		surprises atomic.Int64
		ending    atomic.Bool // the server is being stopped
	)
	returned := sync.NewCond(&sync.Mutex{}) // a membership has come back
	stopped := false
	var browsers sync.WaitGroup
	tokens := make([]string, stormUsers)
	for u := range tokens {
		tokens[u] = s.run(t, "token", "--user", fmt.Sprintf("user%d", u))
	}
	for b := range stormBrowsers {
		token := tokens[b%stormUsers]
		// nats.go hands an error that names a subscription to NextMsg alone, and to
		// the handler without its subscription; a browser here has one of a subject.
		var bySubject sync.Map // subject → *stormSub
		nc, err := nats.Connect(s.WS, nats.Token(token), nats.MaxReconnects(0),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
				if err != nil && !ending.Load() {
					t.Errorf("a browser was disconnected: %v", err)
				}
			}),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				_, subject, _ := strings.Cut(err.Error(), `Subscription to "`)
				subject, _, _ = strings.Cut(subject, `"`)
				if sub, ok := bySubject.Load(subject); ok && errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "has ended") {
					sub := sub.(*stormSub)
					if sub.ended.CompareAndSwap(0, now()) {
						close(sub.revoked)
						return
					}
				}
				if surprises.Add(1) < 10 {
					t.Errorf("an error of no subscription that was lost: %v", err)
				}
			}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		for i, m := range ofUser[b%stormUsers] {
			subject := "status." + string(m.conversation) + ".engine"
			if i%2 == 1 {
				subject = "status." + string(m.conversation) + ".*"
			}
			subscribe := func() (*stormSub, *nats.Subscription, error) {
				sub := &stormSub{of: m, revoked: make(chan struct{})}
				bySubject.Store(subject, sub)
				handle, err := nc.Subscribe(subject, func(msg *nats.Msg) {
					var st struct {
						Metadata struct{ N int } `json:"metadata"`
					}
					if err := json.Unmarshal(msg.Data, &st); err != nil {
						t.Error(err)
					}
					sub.heard, sub.at = append(sub.heard, st.Metadata.N), append(sub.at, now())
				})
				if err != nil {
					return nil, nil, err
				}
				if err := nc.Flush(); err != nil {
					return nil, nil, err
				}
				sub.ready = now()
				subsMu.Lock()
				subs = append(subs, sub)
				subsMu.Unlock()
				return sub, handle, nil
			}
			sub, handle, err := subscribe()
			if err != nil {
				t.Fatal(err)
			}
			browsers.Go(func() {
				for {
					select {
					case <-sub.revoked:
						// nats.go keeps what the server has ended; what came before the
						// end is still handed over.
						_ = handle.Drain()
					case <-ctx.Done():
						return
					}
					returned.L.Lock()
					for !stopped && !m.isMember() {
						returned.Wait()
					}
					done := stopped
					returned.L.Unlock()
					if done {
						return
					}
					if sub, handle, err = subscribe(); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}

	// Statuses, numbered by conversation.
	log := map[status.ConversationID][]stormStatus{}
	traffic, endTraffic := context.WithCancel(ctx)
	var publishers sync.WaitGroup
	var logMu sync.Mutex
	js := serviceJetStream(t, s)
	for _, c := range conversations {
		publishers.Go(func() {
			tick := time.NewTicker(time.Second / stormRate)
			defer tick.Stop()
			for n := 0; ; n++ {
				one := stormStatus{began: now()}
				if _, err := js.Publish("status."+string(c)+".engine", fmt.Appendf(nil, `{"text":"storm","metadata":{"n":%d}}`, n)); err != nil {
					t.Error(err)
					return
				}
				one.acked = now()
				logMu.Lock()
				log[c] = append(log[c], one)
				logMu.Unlock()
				select {
				case <-tick.C:
				case <-traffic.Done():
					return
				}
			}
		})
	}

	// The changes.
	rng := rand.New(rand.NewPCG(1, 2))
	storm := time.Now()
	changes := make(chan *membership)
	var changers sync.WaitGroup
	for range 8 {
		changers.Go(func() {
			for m := range changes {
				if err := m.toggle(ctx, client, now); err != nil {
					t.Error(err)
				}
				returned.L.Lock()
				returned.Broadcast()
				returned.L.Unlock()
			}
		})
	}
	made := 0
	for tick := time.NewTicker(time.Second / stormChanges); time.Since(storm) < stormTime; <-tick.C {
		m := all[rng.IntN(len(all))]
		for tries := 0; !m.take() && tries < 1000; tries++ {
			m = all[rng.IntN(len(all))]
		}
		changes <- m
		made++
	}
	close(changes)
	changers.Wait()
	took := time.Since(storm)
	time.Sleep(accessDelay + accessRest) // the last ones have their effect, under traffic
	endTraffic()
	publishers.Wait()
	returned.L.Lock()
	stopped = true
	returned.Broadcast()
	returned.L.Unlock()
	time.Sleep(time.Second) // what is on its way arrives
	cancel()
	browsers.Wait()
	subsMu.Lock()
	defer subsMu.Unlock()
	ending.Store(true)
	s.Stop() // and with it every connection: heard is still
	judge(t, subs, log, made, took)
}

// judge looks at each delivery, and at each status that should have been one: what
// was acknowledged before a removal of access was asked for is delivered before the
// subscription ends.
func judge(t *testing.T, subs []*stormSub, log map[status.ConversationID][]stormStatus, made int, took time.Duration) {
	delivered, due, ends, outside, lost, twice := 0, 0, 0, 0, 0, 0
	var slowest, early int64
	for _, sub := range subs {
		m, ended := sub.of, sub.ended.Load()
		statuses := log[m.conversation]
		delivered += len(sub.heard)
		if !slices.IsSorted(sub.heard) || len(slices.Compact(slices.Clone(sub.heard))) != len(sub.heard) {
			twice++
		}
		for i, n := range sub.heard {
			st, at := statuses[n], sub.at[i]
			// The second is for both ends: what is on its way to others when access begins
			// may come, and is not old.
			within := slices.IndexFunc(m.access, func(a span) bool {
				return a.from <= at && a.from <= st.acked+int64(accessDelay) && (a.to == 0 || at <= a.to+int64(accessDelay))
			})
			if within >= 0 {
				early = max(early, m.access[within].from-st.acked)
			} else {
				outside++
				t.Logf("outside: %s got status %d of %s, sent at %v and acknowledged %v later, at %v; access was %v, the SUB done at %v", m.user, n, m.conversation,
					time.Duration(st.began), time.Duration(st.acked-st.began), time.Duration(at), m.access, time.Duration(sub.ready))
			}
		}
		// The steady access in which the SUB took effect is the one that counts.
		for _, a := range m.steady {
			if sub.ready < a.from || a.to != 0 && sub.ready >= a.to {
				continue
			}
			if ended != 0 && (a.to == 0 || ended < a.to) {
				t.Errorf("%s lost %s while a member", m.user, m.conversation)
			}
			for n, st := range statuses {
				if st.began <= sub.ready || a.to != 0 && st.acked >= a.to {
					continue
				}
				due++
				if !slices.Contains(sub.heard, n) {
					lost++
					t.Logf("lost: %s got no status %d of %s, acknowledged %v after its SUB and %v before the removal (0: none)", m.user, n, m.conversation,
						time.Duration(st.acked-sub.ready), time.Duration(max(0, a.to-st.acked)))
				}
			}
			if a.to != 0 && ended == 0 {
				t.Errorf("%s was not told of the end of %s", m.user, m.conversation)
			}
			if a.to != 0 && ended != 0 {
				ends++
				slowest = max(slowest, ended-a.to)
			}
		}
	}
	t.Logf("%d changes in %v (%.0f a second), %d subscriptions, %d ended, the slowest %v after the removal was asked for, %d deliveries, %d of them due, the earliest acknowledged %v before access was asked for",
		made, took.Round(time.Millisecond), float64(made)/took.Seconds(), len(subs), ends, time.Duration(slowest).Round(time.Millisecond), delivered, due, time.Duration(early).Round(100*time.Microsecond))
	if outside > 0 || lost > 0 || twice > 0 {
		t.Errorf("%d deliveries outside the access of a second before, %d lost inside it, %d subscriptions out of order or with doubles", outside, lost, twice)
	}
	if time.Duration(slowest) > accessDelay {
		t.Errorf("an end took %v", time.Duration(slowest))
	}
	if made < stormChanges*int(stormTime/time.Second)*9/10 {
		t.Errorf("only %d changes: the storm is none", made)
	}
}

func (m *membership) isMember() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.member
}

// take is true when the membership may be changed now; then it rests.
func (m *membership) take() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.changed) < accessRest {
		return false
	}
	m.changed = time.Now().Add(time.Minute) // until toggle is done
	return true
}

// toggle gives the access or takes it, and notes when.
func (m *membership) toggle(ctx context.Context, client *admin.Client, now func() int64) error {
	before := now()
	var err error
	if m.isMember() {
		m.mu.Lock()
		m.member = false
		m.steady[len(m.steady)-1].to = before
		m.mu.Unlock()
		_, err = client.Remove(ctx, m.conversation, m.user)
		m.mu.Lock()
		m.access[len(m.access)-1].to = now()
	} else {
		_, err = client.Add(ctx, m.conversation, m.user)
		m.mu.Lock()
		m.member = true
		m.access = append(m.access, span{from: before})
		m.steady = append(m.steady, span{from: now()})
	}
	m.changed = time.Now()
	m.mu.Unlock()
	return err
}
