//go:build e2e

package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// chaosPublisher is the service of the chaos test. It numbers the statuses of each
// subject from 1, publishes the next one only when the last is acknowledged, and
// tries with the same Nats-Msg-Id until then.
type chaosPublisher struct {
	js       jetstream.JetStream
	subjects map[string][]string // by conversation
	rate     float64             // statuses a second of each conversation
	again    float64             // share that is published twice on purpose
	seed     uint64
	padding  int // bytes that a status has besides

	published  atomic.Int64 // acknowledged statuses
	retries    atomic.Int64 // publishes again because nothing came back
	repeats    atomic.Int64 // publishes again on purpose
	duplicates atomic.Int64 // acknowledgements that said so

	mu    sync.Mutex          // guards what follows
	acked map[string][]uint64 // the sequences of each subject, in the order of their numbers
	wrong []string
}

// ackPatience is how long a publish waits for its acknowledgement.
const ackPatience = time.Second

func newChaosPublisher(t *testing.T, s *statuswire, url string, subjects map[string][]string) *chaosPublisher {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(filepath.Join(s.DataDir, "keys", "service.nk"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, key, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(2*time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // every other publish meets one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return &chaosPublisher{js: js, subjects: subjects, acked: map[string][]uint64{}}
}

// run publishes at the rate until ctx ends, makes up for what an outage has held
// up, and returns when everything is acknowledged; or when giveUp ends, with an
// error.
func (p *chaosPublisher) run(ctx, giveUp context.Context) error {
	var all sync.WaitGroup
	for i, conversation := range slices.Sorted(maps.Keys(p.subjects)) {
		random := rand.New(rand.NewPCG(p.seed, uint64(i)))
		all.Go(func() { p.publish(ctx, giveUp, random, p.subjects[conversation]) })
	}
	all.Wait()
	return giveUp.Err()
}

// publish is the publisher of one conversation.
func (p *chaosPublisher) publish(ctx, giveUp context.Context, random *rand.Rand, subjects []string) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / p.rate))
	defer tick.Stop()
	began := time.Now()
	for made := 0; ; made++ {
		for float64(made) >= time.Since(began).Seconds()*p.rate {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		if ctx.Err() != nil || !p.next(giveUp, random, subjects[random.IntN(len(subjects))]) {
			return
		}
	}
}

// next publishes one status of the subject until it is acknowledged. Some are
// published twice: as if the first acknowledgement were lost, or by mistake.
func (p *chaosPublisher) next(giveUp context.Context, random *rand.Rand, subject string) bool {
	p.mu.Lock()
	n := len(p.acked[subject]) + 1
	p.mu.Unlock()
	twice, unheard := random.Float64() < p.again, random.IntN(2) == 0
	if twice {
		p.repeats.Add(1)
		if unheard {
			_ = p.js.Conn().PublishMsg(p.numbered(subject, n)) // the next attempt tells
		}
	}
	ack := p.once(giveUp, subject, n)
	for ack == nil {
		if giveUp.Err() != nil {
			return false
		}
		p.retries.Add(1)
		ack = p.once(giveUp, subject, n)
	}
	p.mu.Lock()
	p.acked[subject] = append(p.acked[subject], ack.Sequence)
	p.mu.Unlock()
	p.published.Add(1)

	if !twice || unheard {
		return true
	}
	if second := p.once(giveUp, subject, n); second != nil && (!second.Duplicate || second.Sequence != ack.Sequence) {
		p.fault("%s %d was stored as %d and, with the same id, again as %d", subject, n, ack.Sequence, second.Sequence)
	}
	return true
}

// numbered is status n of a subject, with n as its Nats-Msg-Id.
func (p *chaosPublisher) numbered(subject string, n int) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(nats.MsgIdHdr, fmt.Sprint(n))
	m.Data = fmt.Appendf(nil, `{"text":"step %d of something that takes a while","metadata":{"n":%d,"padding":%q}}`, n, n, strings.Repeat("-", p.padding))
	return m
}

func (p *chaosPublisher) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

// once publishes and is nil when no acknowledgement came. A refusal is wrong:
// nothing that the publisher sends deserves one.
func (p *chaosPublisher) once(giveUp context.Context, subject string, n int) *jetstream.PubAck {
	ctx, cancel := context.WithTimeout(giveUp, ackPatience)
	defer cancel()
	ack, err := p.js.PublishMsg(ctx, p.numbered(subject, n), jetstream.WithRetryAttempts(0))
	if err == nil {
		if ack.Duplicate {
			p.duplicates.Add(1)
		}
		return ack
	}
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.Code < 500 {
		p.fault("%s %d was refused: %v", subject, n, err)
	}
	if !errors.Is(err, context.DeadlineExceeded) { // said at once: no server, no responders
		pause := time.NewTimer(50 * time.Millisecond)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-giveUp.Done():
		}
	}
	return nil
}

// log is a copy of what has been acknowledged so far.
func (p *chaosPublisher) log() map[string][]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	acked := map[string][]uint64{}
	for subject, list := range p.acked {
		acked[subject] = list[:len(list):len(list)]
	}
	return acked
}
