package history_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

var crowdCategories = []status.Category{"engine", "tool", "info", "quiet"}

// randomQuery is about a random conversation of so many, from a random place on.
func randomQuery(rng *rand.Rand, conversations int, last uint64) history.Query {
	q := history.Query{Conversation: status.ConversationID(fmt.Sprint("c", rng.IntN(conversations)))}
	q.Place = history.Place{After: rng.Uint64N(last + 1), Seen: map[string]uint64{}}
	for _, c := range crowdCategories {
		if rng.IntN(3) == 0 {
			q.Categories = append(q.Categories, c)
		}
		if rng.IntN(4) == 0 {
			q.Place.Seen[status.Subject(q.Conversation, c)] = rng.Uint64N(last + 1)
		}
	}
	if rng.IntN(5) == 0 {
		q.MinPriority = status.PriorityHigh
	}
	return q
}

func randomStatus(rng *rand.Rand, conversations int) *nats.Msg {
	m := nats.NewMsg(fmt.Sprintf("status.c%d.%s", rng.IntN(conversations), crowdCategories[rng.IntN(len(crowdCategories))]))
	m.Data = make([]byte, rng.IntN(300))
	if rng.IntN(3) == 0 {
		m.Header.Set(status.HeaderPriority, string(status.PriorityUrgent))
	}
	return m
}

// Many replays at once bring exactly what each brings alone.
func TestACrowdGetsWhatEachGetsAlone(t *testing.T) {
	for _, c := range []struct {
		name       string
		perSubject int64
		most       int64
	}{
		{"no limits", 0, 0},
		{"a limit per subject", 20, 0},
		{"a limit of the stream", 0, 1500},
		{"both", 60, 1500},
	} {
		t.Run(c.name, func(t *testing.T) { testACrowd(t, c.perSubject, c.most) })
	}
}

func testACrowd(t *testing.T, perSubject, most int64) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	nc, server := startServerWith(t, true)
	st := addStream(t, nc)
	limit(t, nc, st, perSubject, most)
	const conversations, n = 12, 2500
	for range n {
		if err := nc.PublishMsg(randomStatus(rng, conversations)); err != nil {
			t.Fatal(err)
		}
	}
	nc.Flush()
	last := store(t, nc, "status.c0.engine")
	for range 300 { // it is no error when retention has taken it
		_ = st.DeleteMsg(t.Context(), 1+rng.Uint64N(last))
	}
	if err := st.Purge(t.Context(), jetstream.WithPurgeSubject("status.c5.*")); err != nil {
		t.Fatal(err)
	}
	if err := st.Purge(t.Context(), jetstream.WithPurgeSubject("status.c6.tool"), jetstream.WithPurgeSequence(last/2)); err != nil {
		t.Fatal(err)
	}
	alone := history.NewReader(connectTo(t, server))
	alone.ReadAlone()
	crowd := history.NewReader(connectTo(t, server), connectTo(t, server))
	crowd.ShareAtOnce()
	asItIs := history.NewReader(connectTo(t, server), connectTo(t, server))
	var done sync.WaitGroup
	for range 60 {
		q, size := randomQuery(rng, conversations, last), 1+rng.IntN(200)
		done.Go(func() {
			want := drain(t, alone.Replay(q), size)
			for _, r := range []*history.Reader{crowd, asItIs} {
				got := drain(t, r.Replay(q), size)
				if !slices.Equal(got.sequences, want.sequences) || !slices.Equal(got.truncated, want.truncated) || got.upTo != want.upTo {
					t.Errorf("%+v, %d at a time:\n got %+v\nwant %+v", q, size, got, want)
				}
			}
		})
	}
	done.Wait()
}

func limit(t *testing.T, nc *nats.Conn, st jetstream.Stream, perSubject, most int64) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.MaxMsgsPerSubject, cfg.MaxMsgs, cfg.Discard = perSubject, most, jetstream.DiscardOld
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// While statuses come and retention drops others, whatever was stored is brought
// or reported, and in order.
func TestACrowdOnAStreamThatMoves(t *testing.T) {
	for _, c := range []struct {
		name       string
		perSubject int64
		most       int64
		age        time.Duration
	}{
		{"it grows", 0, 0, 0},
		{"a limit per subject", 120, 0, 0},
		{"a limit of the stream", 0, 900, 0},
		{"both", 100, 900, 0},
		{"a limit of age", 0, 0, 400 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc, server := startServerWith(t, true)
			st := addStream(t, nc)
			if c.age > 0 {
				cfg := st.CachedInfo().Config
				cfg.MaxAge, cfg.Duplicates = c.age, c.age
				js, err := jetstream.New(nc)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
			} else {
				limit(t, nc, st, c.perSubject, c.most)
			}
			testACrowdThatMoves(t, nc, connectTo(t, server), connectTo(t, server))
		})
	}
}

func testACrowdThatMoves(t *testing.T, nc *nats.Conn, conns ...*nats.Conn) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	const conversations = 2
	// Only this publishes, so the n-th status has sequence n.
	var mu sync.Mutex
	var stored []string
	next := func() *nats.Msg {
		m := randomStatus(rng, conversations)
		mu.Lock()
		defer mu.Unlock()
		stored = append(stored, m.Subject)
		return m
	}
	for range 1199 {
		if err := nc.PublishMsg(next()); err != nil {
			t.Fatal(err)
		}
	}
	storeMsg(t, nc, next()) // and all before it
	r := history.NewReader(conns...)
	r.ShareAtOnce()
	r.KeepSegments(32<<20, 300*time.Millisecond)
	stop := make(chan struct{})
	var live, done sync.WaitGroup
	live.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				storeMsg(t, nc, next())
			}
		}
	})
	for i := range 16 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)+3))
		done.Go(func() {
			for range 5 {
				// Of one category, as what is reported is the least of all categories'.
				q := history.Query{
					Conversation: status.ConversationID(fmt.Sprint("c", rng.IntN(conversations))),
					Categories:   crowdCategories[rng.IntN(len(crowdCategories)):][:1],
				}
				mu.Lock()
				q.Place.After = uint64(len(stored)) - 1 - rng.Uint64N(1200)
				mu.Unlock()
				subject := status.Subject(q.Conversation, q.Categories[0])
				p, size := r.Replay(q), 1+rng.IntN(60)
				for {
					at := p.Known(subject)
					b, err := p.Next(t.Context(), size)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					missing := unreported(stored, subject, at, b)
					mu.Unlock()
					if missing != 0 {
						t.Errorf("after %d: status %d is not in %v up to %d, and not reported, truncated %d", at, missing, sequences(b.Messages), b.UpTo, b.Truncated)
						return
					}
					if b.Done {
						break
					}
				}
			}
		})
	}
	done.Wait()
	close(stop)
	live.Wait()
}

// unreported returns the first status of the subject after at that should be in the
// batch and is not; 0 if there is none. What is missing before its messages may
// be reported.
func unreported(stored []string, subject string, at uint64, b history.Batch) uint64 {
	messages := b.Messages
	for seq := at + 1; seq <= b.UpTo && seq <= uint64(len(stored)); seq++ {
		for len(messages) > 0 && messages[0].Sequence < seq {
			return messages[0].Sequence // out of order, or twice
		}
		switch {
		case stored[seq-1] != subject:
		case len(messages) > 0 && messages[0].Sequence == seq:
			messages = messages[1:]
		case b.Truncated == 0 || len(messages) < len(b.Messages):
			return seq
		}
	}
	return 0
}
