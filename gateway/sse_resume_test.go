package gateway_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"bufio"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/engine"
)

func TestAStreamGoesOnBehindTheLastEvent(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	for i := 1; i <= 5; i++ {
		r.store("c1", []string{"engine", "tool"}[i%2], strconv.Itoa(i))
		r.store("c2", "engine", "another's")
	}
	byHeader := r.listen("c1/events", bearer("alice"), "Last-Event-ID: 4")
	byQuery := r.listen("c1/events?last_event_id=4", bearer("alice"))
	both := r.listen("c1/events?last_event_id=1", bearer("alice"), "Last-Event-ID: 4")
	r.store("c1", "info", "live")
	for _, l := range []*listener{byHeader, byQuery, both} {
		for i := 3; i <= 5; i++ {
			if e := l.expect(strconv.Itoa(i)); e.id != strconv.Itoa(2*i-1) {
				t.Errorf("%d has the id %s", i, e.id)
			}
		}
		l.expect("live")
	}
	beginning := r.listen("c1/events?last_event_id=0&categories=engine", bearer("alice"))
	for _, text := range []string{"2", "4"} {
		beginning.expect(text)
	}
	r.store("c1", "engine", "and live")
	beginning.expect("and live")
}

func TestNothingIsLostOverManyCuts(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	const total = 600
	stored := make(chan struct{})
	go func() { // ends when all are stored
		defer close(stored)
		for i := range total {
			r.store("c1", []string{"engine", "tool", "info"}[rand.N(3)], strconv.Itoa(i))
		}
	}()
	id, cuts := "0", 0
	for next := 0; next < total; cuts++ {
		l := r.listen("c1/events", bearer("alice"), "Last-Event-ID: "+id)
		for range 1 + rand.N(60) {
			if next == total {
				break
			}
			id = l.expect(strconv.Itoa(next)).id // in order, none left out, none twice
			next++
		}
		l.close()
	}
	<-stored
	t.Logf("%d statuses over %d streams", total, cuts)
}

// purge drops what is before the sequence, as retention does.
func (r *rig) purge(before uint64) {
	r.t.Helper()
	nc, err := r.engine.Connect(engine.PartAdmin)
	must(r.t, err)
	defer nc.Close()
	m, err := nc.Request("$JS.API.STREAM.PURGE.STATUS", fmt.Appendf(nil, `{"seq":%d}`, before), patience)
	must(r.t, err)
	var answer struct{ Success bool }
	if err := json.Unmarshal(m.Data, &answer); err != nil || !answer.Success {
		r.t.Fatalf("purge: %s", m.Data)
	}
}

func (l *listener) expectTruncated(first int) {
	l.t.Helper()
	if e := l.next(); e != (event{name: "truncated", data: fmt.Sprintf(`{"first_seq":%d}`, first)}) {
		l.t.Fatalf("got %+v, want it truncated before %d", e, first)
	}
}

func TestWhatRetentionDroppedIsTold(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	for i := 1; i <= 9; i++ {
		r.store("c1", []string{"engine", "tool"}[i%2], strconv.Itoa(i))
	}
	r.purge(6)
	all := r.listen("c1/events", bearer("alice"), "Last-Event-ID: 2")
	all.expectTruncated(6)
	for i := 6; i <= 9; i++ {
		all.expect(strconv.Itoa(i))
	}
	exact := r.listen("c1/events", bearer("alice"), "Last-Event-ID: 5")
	exact.expect("6")
	// The first that is there may be none that is wanted.
	some := r.listen("c1/events?categories=tool,info", bearer("alice"), "Last-Event-ID: 2")
	some.expectTruncated(6)
	some.expect("7")
}

func TestAnIDFromOtherDataBeginsAnew(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.store("c1", "engine", "one")
	r.store("c1", "tool", "two")
	l := r.listen("c1/events", bearer("alice"), "Last-Event-ID: 4711")
	l.expectTruncated(1)
	l.expect("one")
	l.expect("two")
	r.store("c1", "engine", "live")
	l.expect("live")
}

func TestAReplayWaitsForAStreamThatDoesNotRead(t *testing.T) {
	r := newRig(t, gateway.Options{MaxQueueBytes: 256 << 10})
	r.members.set("c1", "alice", true)
	text := strings.Repeat("x", 16<<10)
	const total = 1200 // twenty megabytes: more than the kernel's buffers and the queue
	for i := range total {
		r.store("c1", "engine", strconv.Itoa(i)+text)
	}
	conn := r.rawStream("GET /v1/conversations/c1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nLast-Event-ID: 0\r\n\r\n")
	full := func() int { return r.gateway.Stats().Sheltered }
	eventually(t, "the replay waits", func() bool { return full() > 0 })
	if got := full(); got > 256<<10 {
		t.Fatalf("%d bytes wait", got)
	}
	in := bufio.NewReader(conn)
	for i := 0; i < total; {
		line, err := in.ReadString('\n')
		must(t, err)
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var m struct{ Text string }
			must(t, json.Unmarshal([]byte(data), &m))
			if m.Text != strconv.Itoa(i)+text {
				t.Fatalf("got %.20q at %d", m.Text, i)
			}
			i++
		}
	}
	if st := r.gateway.Stats(); st.SlowCloses != 0 {
		t.Fatalf("%+v", st)
	}
}
