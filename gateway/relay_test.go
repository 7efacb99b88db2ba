package gateway_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/status"
)

// answerHistory serves edge.<c>.history.<user>; tell gets each request.
func (r *rig) answerHistory(tell func(m *nats.Msg)) {
	r.t.Helper()
	_, err := r.edge.Subscribe("edge.*.history.*", tell)
	must(r.t, err)
	must(r.t, r.edge.Flush())
}

// part is one status of an answer, with a subject to tell that there is room on.
func (r *rig) part(to *nats.Msg, seq int, data, flow string) {
	must(r.t, r.edge.PublishMsg(&nats.Msg{Subject: to.Reply, Reply: flow, Data: []byte(data), Header: nats.Header{
		status.HeaderSequence: {fmt.Sprint(seq)}, status.HeaderSubject: {"status.c1.engine"},
		status.HeaderTimeStamp: {"2026-01-19T12:00:00Z"}, "Description": {"the publisher's own"},
	}}))
}

// last ends an answer.
func (r *rig) last(to *nats.Msg, header nats.Header) {
	if header == nil {
		header = nats.Header{}
	}
	header.Set("Status", "204")
	header.Set("Description", "EOB")
	must(r.t, r.edge.PublishMsg(&nats.Msg{Subject: to.Reply, Header: header}))
}

func TestAnAnswerInParts(t *testing.T) {
	r := newRig(t, gateway.Options{MaxRequests: 1})
	r.members.set("c1", "alice", true)
	asked := make(chan *nats.Msg, 10)
	r.answerHistory(func(m *nats.Msg) { asked <- m })
	b := r.login("alice")
	b.send("SUB _INBOX.a 1", "PUB edge.c1.history _INBOX.a 11", `{"after":5}`)
	m := <-asked
	if string(m.Data) != `{"after":5}` || m.Subject != "edge.c1.history.alice" {
		t.Fatalf("asked %s %s", m.Subject, m.Data)
	}
	r.part(m, 6, "six", "")
	head := "NATS/1.0\r\nDescription: the publisher's own\r\nNats-Sequence: 6\r\nNats-Subject: status.c1.engine\r\nNats-Time-Stamp: 2026-01-19T12:00:00Z\r\n\r\n"
	if got, want := b.expectMsg("_INBOX.a 1 "), fmt.Sprintf("HMSG _INBOX.a 1 %d %d\t%ssix", len(head), len(head)+3, head); got != want {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	r.part(m, 7, "", "") // an empty status is a part all the same
	b.expectMsg("_INBOX.a 1 ")

	// It counts until its last message.
	b.send("PUB edge.c1.join _INBOX.a 0", "")
	b.expect(`-ERR 'Permissions Violation for Publish to "edge.c1.join": 1 requests wait`)
	r.last(m, nats.Header{status.HeaderCount: {"2"}, status.HeaderNextAfter: {"9"}})
	head = "NATS/1.0 204 EOB\r\nStatus-Count: 2\r\nStatus-Next-After: 9\r\n\r\n"
	if got, want := b.expectMsg("_INBOX.a 1 "), fmt.Sprintf("HMSG _INBOX.a 1 %d %d\t%s", len(head), len(head), head); got != want {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	r.part(m, 8, "too late", "")
	b.send("PUB edge.c1.history _INBOX.a 0", "")
	m = <-asked
	r.last(m, nil)
	b.expect("HMSG _INBOX.a 1 20 20\tNATS/1.0 204 EOB") // and not what came too late
}

// A login decision of somebody's own may grant single categories: a history brings
// no others.
func TestAHistoryBringsOnlyWhatIsGranted(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) {
		c.grant = func(_ string, claims *jwt.UserClaims) {
			if claims.Sub.Allow.Contains("status.c1.*") {
				claims.Sub.Allow.Remove("status.c1.*")
				claims.Sub.Allow.Add("status.c1.engine", "status.c1.tool")
				claims.Sub.Deny.Add("status.c1.tool")
			}
		}
	})
	asked := make(chan *nats.Msg, 1)
	r.answerHistory(func(m *nats.Msg) { asked <- m })
	b := r.login("alice")
	b.send("SUB _INBOX.a 1", "PUB edge.c1.history _INBOX.a 0", "")
	m := <-asked
	for i, category := range []string{"secret", "engine", "tool", "engine"} {
		must(t, r.edge.PublishMsg(&nats.Msg{Subject: m.Reply, Data: []byte(category), Header: nats.Header{
			status.HeaderSequence: {fmt.Sprint(i)}, status.HeaderSubject: {"status.c1." + category},
		}}))
	}
	r.last(m, nats.Header{status.HeaderCount: {"4"}})
	for range 2 {
		if got := b.expectMsg("_INBOX.a 1 "); !strings.HasSuffix(got, "\r\n\r\nengine") {
			t.Errorf("got %q", got)
		}
	}
	if got := b.expectMsg("_INBOX.a 1 "); !strings.Contains(got, "204 EOB\r\nStatus-Count: 2\r\n") {
		t.Errorf("the end is %q", got)
	}
}

func TestTheGatewayTellsThatThereIsRoomAndNothingElse(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	asked, told := make(chan *nats.Msg, 10), make(chan *nats.Msg, 10)
	r.answerHistory(func(m *nats.Msg) { asked <- m })
	_, err := r.edge.Subscribe("edge.*.*.*", func(m *nats.Msg) {
		if !strings.HasPrefix(m.Subject, "edge.c1.history.") {
			told <- m
		}
	})
	must(t, err)
	must(t, r.edge.Flush())
	b := r.login("alice")
	b.send("SUB _INBOX.a 1", "PUB edge.c1.history _INBOX.a 0", "")
	m := <-asked
	r.part(m, 1, "x", "edge.c1.join.bob") // it asks nothing in the gateway's name
	r.part(m, 2, "x", "edge.c1.flow.abc.d")
	r.part(m, 3, "x", "edge.c1.flow.abc")
	for range 3 {
		if got := b.expectMsg("_INBOX.a 1 "); strings.Contains(got, "flow") {
			t.Errorf("the browser sees %q", got)
		}
	}
	if got := <-told; got.Subject != "edge.c1.flow.abc" || len(got.Data) > 0 || got.Reply != "" {
		t.Errorf("told %s %q", got.Subject, got.Data)
	}
	r.last(m, nil)
	b.expectMsg("_INBOX.a 1 ")
	r.part(m, 4, "x", "edge.c1.join.late")
	r.part(m, 5, "x", "edge.c1.flow.late")
	if got := <-told; got.Subject != "edge.c1.flow.late" || string(got.Data) != "gone" || got.Reply != "" {
		t.Errorf("when nobody waits any more: told %s %q", got.Subject, got.Data)
	}
}

// pacedHistory answers with batches, each when it is told that there is room. It
// counts what it has sent.
func (r *rig) pacedHistory(batches, size int) *atomic.Int64 {
	var sent atomic.Int64
	room, done := make(chan struct{}, 1), make(chan struct{})
	end := sync.OnceFunc(func() { close(done) })
	r.t.Cleanup(end)
	_, err := r.edge.Subscribe("edge.*.flow.*", func(m *nats.Msg) {
		if string(m.Data) == status.EdgeFlowGone {
			end()
			return
		}
		room <- struct{}{}
	})
	must(r.t, err)
	data := strings.Repeat("x", size/10)
	r.answerHistory(func(m *nats.Msg) {
		go func() { // ends with the last batch, with the request, or with the test
			for batch := range batches {
				if batch > 0 {
					select {
					case <-room:
					case <-done:
						return
					}
				}
				for i := range 10 {
					flow := ""
					if i == 9 {
						flow = "edge.c1.flow.abc"
					}
					r.part(m, 1+batch*10+i, data, flow)
					sent.Add(int64(len(data)))
				}
			}
			r.last(m, nil)
		}()
	})
	return &sent
}

func TestABrowserThatStopsReadingStopsItsHistory(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	const batches, size = 400, 128 << 10 // 50 MiB
	sent := r.pacedHistory(batches, size)
	b := r.login("alice")
	b.send("SUB _INBOX.a 1", "PUB edge.c1.history _INBOX.a 0", "")

	// It stands when nothing more is sent although the queue is not empty.
	var before int64
	eventually(t, "the history stands", func() bool {
		time.Sleep(100 * time.Millisecond)
		now := sent.Load()
		stands := now == before && r.gateway.Stats().Sheltered > 256<<10
		before = now
		return stands
	})
	if waits := r.gateway.Stats().Sheltered; waits > 512<<10 || before > 30<<20 {
		t.Errorf("%d bytes wait in the gateway, %d were sent in all", waits, before)
	}
	// It lives, and others are not held up.
	other := r.login("alice")
	other.sub("status.c1.engine", "7")
	r.store("c1", "engine", "live")
	other.expectMsg("status.c1.engine 7 ")

	// Reading again it gets all of it, in order.
	for seq := 1; seq <= batches*10; seq++ {
		if got := b.expectMsg("_INBOX.a 1 "); !strings.Contains(got, fmt.Sprintf("Nats-Sequence: %d\r\n", seq)) {
			t.Fatalf("place %d has %.200q", seq, got)
		}
	}
	if got := b.expectMsg("_INBOX.a 1 "); !strings.Contains(got, "NATS/1.0 204 EOB") {
		t.Errorf("the end is %.100q", got)
	}
	if n := r.gateway.Stats().SlowCloses; n > 0 {
		t.Errorf("%d browsers were closed as slow", n)
	}
}

func TestASocketThatGoesWhileItsHistoryWaitsLeavesNothing(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.pacedHistory(400, 128<<10)
	b := r.login("alice")
	must(t, b.conn.(*net.TCPConn).SetReadBuffer(4096))
	b.send("SUB _INBOX.a 1", "PUB edge.c1.history _INBOX.a 0", "")
	eventually(t, "the history waits", func() bool { return r.gateway.Stats().Sheltered > 256<<10 })
	must(t, b.conn.(*net.TCPConn).SetLinger(0))
	must(t, b.conn.Close())
	eventually(t, "the socket is gone", func() bool { return r.gateway.Stats().Sockets == 0 })
	// TestMain sees whether a goroutine is left.
}
