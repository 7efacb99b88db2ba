package authcallout_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// gate is a directory that answers when it is opened.
type gate struct {
	conversations
	entered chan struct{} // one for each request that waits
	open    chan struct{}
}

func newGate() gate { return gate{entered: make(chan struct{}, 1000), open: make(chan struct{})} }

func (g gate) Conversation(ctx context.Context, id status.ConversationID) (directory.Conversation, error) {
	g.entered <- struct{}{}
	select {
	case <-g.open:
		return g.conversations.Conversation(ctx, id)
	case <-ctx.Done():
		return directory.Conversation{}, ctx.Err()
	}
}

func TestAFullQueueDeniesAtOnceAndNotFinally(t *testing.T) {
	g := newGate()
	r := start(t, setup{directory: g, opts: authcallout.Options{Workers: 1, QueueLength: 1}})
	fields := map[string]string{"auth_token": token(t, "alice", time.Hour)}
	outcomes := make(chan link, 2)
	connect := func() {
		l, err := r.dial(session.Ask{Join: "c1"}, fields)
		if err != nil {
			t.Error(err)
		}
		outcomes <- l
	}
	go connect() // the worker's; ends when the gate opens
	<-g.entered
	go connect() // the queue's; the same
	waitFor(t, "one in the queue", func() bool { return r.service.Stats().Queued == 1 })

	l := r.connect(t, session.Ask{Join: "c1"}, fields)
	if l.said != violation || l.denial == nil || l.denial.Final || l.denial.Reason != "too many connect at the moment: try again" {
		t.Errorf("server says %q, %+v", l.said, l.denial)
	}
	if l.took > soon {
		t.Errorf("denied after %v, want at once", l.took)
	}
	close(g.open)
	for range 2 {
		if l := <-outcomes; l.said != "PONG" {
			t.Errorf("one who waited: server says %q, %v", l.said, l.denial)
		}
	}
	if n := r.service.Stats().Denied[authcallout.CauseQueueFull]; n != 1 {
		t.Errorf("%d denied by the full queue, want 1", n)
	}
}

func TestTimeInTheQueueCounts(t *testing.T) {
	g := newGate() // stays shut: the only worker is held for the whole timeout
	r := start(t, setup{directory: g, opts: authcallout.Options{Workers: 1, Timeout: 200 * time.Millisecond}})
	fields := map[string]string{"auth_token": token(t, "alice", time.Hour)}
	var clients sync.WaitGroup
	for range 5 {
		clients.Go(func() {
			l, err := r.dial(session.Ask{Join: "c1"}, fields)
			if err != nil || l.denial == nil || l.denial.Final || l.took > soon {
				t.Errorf("%v, denial %v after %v: want a passing one, soon", err, l.denial, l.took)
			}
		})
	}
	clients.Wait()
	if n := r.service.Stats().Denied[authcallout.CauseTimeout]; n != 5 {
		t.Errorf("%d denied by timeout, want 5", n)
	}
}

// failing is a verifier that is down or slow.
type failing struct{ err error }

func (f failing) Verify(ctx context.Context, _ string) (identity.Identity, error) {
	if f.err == nil {
		<-ctx.Done()
		return identity.Identity{}, ctx.Err()
	}
	return identity.Identity{}, f.err
}

func TestAVerifierThatFailsIsNotTheBrowsersFault(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		reason string
	}{
		{"down", errors.New("GET https://keys.internal/jwks: connection refused"), "the token cannot be checked at the moment: try again"},
		{"slow", nil, "the authorization took too long: try again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, setup{verifier: failing{c.err}, opts: authcallout.Options{Timeout: 100 * time.Millisecond}})
			l := r.connect(t, session.Ask{}, map[string]string{"auth_token": "x"})
			if l.denial == nil || l.denial.Final || l.denial.Reason != c.reason {
				t.Errorf("denial %+v, want %q", l.denial, c.reason)
			}
		})
	}
}

func TestTwoHundredConnectAtOnce(t *testing.T) {
	r := start(t, setup{})
	users := map[status.UserID]status.ConversationID{"alice": "c1", "bob": "c3"}
	var clients sync.WaitGroup
	for user, conversation := range users {
		fields := map[string]string{"auth_token": token(t, user, time.Hour)}
		for range 100 {
			clients.Go(func() {
				l, err := r.dial(session.Ask{Join: conversation}, fields)
				if err != nil || l.said != "PONG" {
					t.Errorf("server says %q, %v, %v", l.said, l.denial, err)
					return
				}
				g, err := r.read(l.jwt)
				if err != nil || g.User != user || !g.Covers(conversation) || len(g.Conversations) != 1 {
					t.Errorf("%s got %+v, %v", user, g, err)
				}
			})
		}
	}
	clients.Wait()
	if s := r.service.Stats(); s.Granted != 200 || len(s.Denied) != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestTwoServicesOfOneServerAgree(t *testing.T) {
	// While a service is replaced there may be two; the server takes one answer.
	r := start(t, setup{})
	nc, err := r.engine.Connect(engine.PartCallout)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	second := r.serve(t, nc, setup{})
	defer stop(t, second.Stop)
	for range 20 {
		if l := r.connect(t, session.Ask{Join: "c1"}, map[string]string{"auth_token": token(t, "alice", time.Hour)}); l.said != "PONG" {
			t.Errorf("server says %q, %v", l.said, l.denial)
		}
	}
}

func TestStopAnswersWhoWaits(t *testing.T) {
	g := newGate()
	r := start(t, setup{directory: g, opts: authcallout.Options{Workers: 1}})
	outcome := make(chan link, 1)
	go func() { // ends when the gate opens
		l, err := r.dial(session.Ask{Join: "c1"}, map[string]string{"auth_token": token(t, "alice", time.Hour)})
		if err != nil {
			t.Error(err)
		}
		outcome <- l
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
	if l := <-outcome; l.said != "PONG" {
		t.Errorf("server says %q, %v", l.said, l.denial)
	}
	if err := r.service.Stop(context.Background()); err != nil {
		t.Errorf("stopping twice: %v", err)
	}
	if err := r.service.Start(t.Context()); !errors.Is(err, authcallout.ErrStarted) {
		t.Errorf("start after stop: %v", err)
	}
}

func TestStopWithoutTimeDeniesWhoWaits(t *testing.T) {
	g := newGate() // stays shut
	r := start(t, setup{directory: g})
	outcome := make(chan link, 1)
	go func() { // ends with the verdict
		l, err := r.dial(session.Ask{Join: "c1"}, map[string]string{"auth_token": token(t, "alice", time.Hour)})
		if err != nil {
			t.Error(err)
		}
		outcome <- l
	}()
	<-g.entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.service.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v, want the context's error", err)
	}
	if l := <-outcome; l.denial == nil || l.denial.Final {
		t.Errorf("denial %+v, want a passing one", l.denial)
	}
}

// BenchmarkConnect is a browser's whole way in: link, CONNECT, callout, verdict.
// Its CPU is the process's, the server's and the link's share included; the
// floor is BenchmarkConnectFloor.
func BenchmarkConnect(b *testing.B) {
	var callouts atomic.Int64 // nanoseconds
	r := start(b, setup{opts: authcallout.Options{OnVerdict: func(v authcallout.Verdict) { callouts.Add(int64(v.Duration)) }}})
	benchmarkConnect(b, r, session.Ask{Join: "c1"}, map[string]string{"auth_token": token(b, "alice", time.Hour)}, "PONG")
	b.ReportMetric(time.Duration(callouts.Load()).Seconds()*1e6/float64(b.N), "µs-callout/connect")
}

// BenchmarkDecide is what BenchmarkConnect is without the server and the link, the
// reading of the grant included.
func BenchmarkDecide(b *testing.B) {
	r := start(b, setup{})
	login := session.Login{Token: token(b, "alice", time.Hour), Remote: browser}
	var denied *session.Denial
	if login.Proof, denied = r.service.Screen(b.Context(), login.Token); denied != nil {
		b.Fatal(denied)
	}
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if _, err := r.service.Decide(b.Context(), login, session.Ask{Join: "c1"}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "µs-cpu/connect")
}

// BenchmarkConnectSealed is the same with encrypted requests.
func BenchmarkConnectSealed(b *testing.B) {
	r := start(b, setup{sealed: true})
	benchmarkConnect(b, r, session.Ask{Join: "c1"}, map[string]string{"auth_token": token(b, "alice", time.Hour)}, "PONG")
}

// BenchmarkConnectDenied is a browser with a bad token.
func BenchmarkConnectDenied(b *testing.B) {
	r := start(b, setup{})
	benchmarkConnect(b, r, session.Ask{}, map[string]string{"auth_token": "bad"}, violation)
}

// BenchmarkCallout is the callout's own share: one request after the other over
// NATS, without a server's work before and after. All of its CPU but one round
// trip is the service's.
func BenchmarkCallout(b *testing.B) {
	c := startCallouts(b, nil)
	link, err := c.sessions.Open(session.Key{ServerID: c.serverID, ClientID: 7}, session.Ask{Join: "c1"})
	if err != nil {
		b.Fatal(err)
	}
	defer link.Close()
	data, err := c.request(b).Encode(c.server)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if _, err := c.nc.Request("$SYS.REQ.USER.AUTH", []byte(data), time.Second); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "µs-cpu/connect")
}

// BenchmarkConnectFloor opens links and is denied without a callout's work: a
// service that answers nothing but an empty message.
func BenchmarkConnectFloor(b *testing.B) {
	e, set := startEngine(b, setup{})
	r := &rig{engine: e, keys: set, sessions: session.NewRegistry()}
	nc, err := e.Connect(engine.PartCallout)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe("$SYS.REQ.USER.AUTH", emptyAnswer); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	benchmarkConnect(b, r, session.Ask{}, map[string]string{"auth_token": "x"}, violation)
}

func benchmarkConnect(b *testing.B, r *rig, ask session.Ask, fields map[string]string, want string) {
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if l, err := r.dial(ask, fields); err != nil || l.said != want {
			b.Fatal(l.said, l.denial, err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "µs-cpu/connect")
}
