package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/edge"
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
			if e := l.expect(strconv.Itoa(i)); e.seq() != strconv.Itoa(2*i-1) {
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
	// Another user's: of alice's own stream it might not be known yet how far it is, and
	// then too much is told.
	r.members.set("c1", "bob", true)
	exact := r.listen("c1/events", bearer("bob"), "Last-Event-ID: 5")
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

// losesOne has status 1 arrive, 2 get lost on its way to the gateway and 3 arrive, of
// which it returns the id.
func (r *rig) losesOne(l *listener) (id string) {
	r.t.Helper()
	l.expect("1")
	r.storeUnheard("c1", "engine", "2")
	r.store("c1", "tool", "3")
	return l.expect("3").id
}

func TestWhatWasNotFoundBeforeTheCutComesAfterIt(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	l := r.listen("c1/events", bearer("alice"))
	r.store("c1", "engine", "1")
	id := r.losesOne(l)
	l.close()
	eventually(t, "nobody listens", func() bool { return r.fanout.Stats().Topics == 0 })
	r.store("c1", "tool", "4")
	for range 2 { // the second one is not misled by the first
		l = r.listen("c1/events", bearer("alice"), "Last-Event-ID: "+id)
		for _, text := range []string{"2", "4"} {
			l.expect(text)
		}
		l.close()
		eventually(t, "nobody listens", func() bool { return r.fanout.Stats().Topics == 0 })
	}
	// Who is somewhere else is not touched.
	l = r.listen("c1/events", bearer("alice"), "Last-Event-ID: 4")
	r.store("c1", "info", "5")
	l.expect("5")
}

func TestWhatWasFoundButNotReadBeforeTheCutComesAfterIt(t *testing.T) {
	for name, ends := range map[string]bool{"the end is seen": true, "the end is not seen": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, gateway.Options{})
			r.members.set("c1", "alice", true)
			l := r.listen("c1/events", bearer("alice"))
			r.store("c1", "engine", "1")
			r.storeUnheard("c1", "engine", "2")
			r.store("c1", "tool", "3")
			l.expect("1")
			id := l.expect("3").id
			r.store("c1", "engine", "4")
			eventually(t, "all are sent", func() bool { return r.fanout.Stats().Delivered == 4 })
			if ends {
				l.close()
				eventually(t, "nobody listens", func() bool { return r.fanout.Stats().Topics == 0 })
			}
			l = r.listen("c1/events", bearer("alice"), "Last-Event-ID: "+id)
			l.expect("2")
			for l.next().seq() != "4" { // at least once: what was read already may come again
			}
		})
	}
}

// A browser may be back before the end of its old stream is seen.
func TestWhatIsNotFoundYetComesToABrowserWhoseOldStreamIsStillOpen(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	old := r.listen("c1/events", bearer("alice"))
	r.store("c1", "engine", "1")
	id := r.losesOne(old)
	l := r.listen("c1/events", bearer("alice"), "Last-Event-ID: "+id)
	l.expect("2")
	r.store("c1", "tool", "4")
	l.expect("4")
}

// The place that a stream began with says nothing when that was of other data.
func TestAfterAnIDFromOtherDataAPlaceIsOfTheNewData(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.store("c1", "engine", "1")
	old := r.listen("c1/events", bearer("alice"), "Last-Event-ID: 4711")
	old.expectTruncated(1)
	id := r.losesOne(old)
	l := r.listen("c1/events", bearer("alice"), "Last-Event-ID: "+id)
	l.expect("2")
}

// The stream has more than the id says: only the epoch tells.
func TestAnIDOfAnotherEpochBeginsAnew(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{})
	r.members.set("c1", "alice", true)
	for i := 1; i <= 4; i++ {
		r.store("c1", []string{"engine", "tool"}[i%2], strconv.Itoa(i))
	}
	shot := r.listen("c1/events?snapshot=true", bearer("alice"))
	shot.expect("3")
	id := shot.expect("4").id
	same := r.listen("c1/events", bearer("alice"), "Last-Event-ID: "+id)
	for name, l := range map[string]*listener{
		"all":              r.listen("c1/events", bearer("alice"), "Last-Event-ID: 2-another"),
		"one category":     r.listen("c1/events?categories=tool,engine&last_event_id=4-another", bearer("alice")),
		"with a snapshot":  r.listen("c1/events?snapshot=true", bearer("alice"), "Last-Event-ID: 0-another"),
		"above the stream": r.listen("c1/events", bearer("alice"), "Last-Event-ID: 99-"+strings.TrimPrefix(id, "4-")),
	} {
		t.Log(name)
		l.expectTruncated(1)
		for i := 1; i <= 4; i++ {
			if e := l.expect(strconv.Itoa(i)); strings.TrimPrefix(e.id, e.seq()) != strings.TrimPrefix(id, "4") {
				t.Errorf("%d has the id %s, and the last one of the snapshot has %s", i, e.id, id)
			}
		}
	}
	r.store("c1", "info", "live")
	if e := same.expect("live"); e.id != "5"+strings.TrimPrefix(id, "4") {
		t.Errorf("live has the id %s, the one before %s", e.id, id)
	}
}

func TestASnapshotComesFirstWhenItIsAskedFor(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{})
	r.members.set("c1", "alice", true)
	for i, category := range []string{"engine", "tool", "engine", "info", "tool"} {
		r.store("c1", category, strconv.Itoa(i+1))
	}
	r.store("c2", "engine", "another's")
	all := r.listen("c1/events?snapshot=true", bearer("alice"))
	some := r.listen("c1/events?snapshot=true&categories=tool,engine", bearer("alice"))
	again := r.listen("c1/events?snapshot=true", bearer("alice"), "Last-Event-ID: 4")
	none := r.listen("c1/events?snapshot=false", bearer("alice"))
	r.store("c1", "engine", "live")
	for l, texts := range map[*listener][]string{
		all: {"3", "4", "5", "live"}, some: {"3", "5", "live"}, again: {"5", "live"}, none: {"live"},
	} {
		for _, text := range texts {
			if e := l.expect(text); text != "live" && e.seq() != text {
				t.Errorf("%s has the id %s", text, e.id)
			}
		}
	}
	r.mustRefuseHTTP("c1/events?snapshot=yes", 400, 20101, `parameter snapshot is "yes"`, bearer("alice"))
	r.members.set("empty", "alice", true)
	empty := r.listen("empty/events?snapshot=true", bearer("alice"))
	r.store("empty", "engine", "first")
	empty.expect("first")
}

// What one answer of the edge has no room for came not at all.
func TestASnapshotOfManyLargeStatusesIsWhole(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{})
	r.members.set("c1", "alice", true)
	const n = 8
	text := func(i int, what string) string {
		return fmt.Sprintf("%s of %d %s", what, i, strings.Repeat("x", 60<<10))
	}
	for i := range n {
		r.store("c1", fmt.Sprintf("cat%d", i), text(i, "older"))
		r.store("c1", fmt.Sprintf("cat%d", i), text(i, "last"))
	}
	all := r.listen("c1/events?snapshot=true", bearer("alice"))
	some := r.listen("c1/events?snapshot=true&categories=cat0,cat7", bearer("alice"))
	r.store("c1", "engine", "live")
	r.store("c1", "cat0", "live too")
	for i := range n {
		all.expect(text(i, "last"))
	}
	all.expect("live")
	all.expect("live too")
	some.expect(text(0, "last"))
	some.expect(text(7, "last"))
	some.expect("live too")
}

func TestASnapshotThatCannotBeHadIsAStatus(t *testing.T) {
	r := newRig(t, gateway.Options{RequestTimeout: 100 * time.Millisecond})
	r.members.set("c1", "alice", true)
	r.mustRefuseHTTP("c1/events?snapshot=true", 503, 20030, "not available just now", bearer("alice"))
	_, err := r.edge.Subscribe("edge.*.join.*", func(*nats.Msg) {})
	must(t, err)
	must(t, r.edge.Flush())
	r.mustRefuseHTTP("c1/events?snapshot=true", 503, 20030, "not available just now", bearer("alice"))
	if r.fanout.Stats().Topics != 0 || r.attendance.all() != "" {
		t.Errorf("%+v, and presence heard %q", r.fanout.Stats(), r.attendance.all())
	}
	r.listen("c1/events", bearer("alice"))
}

func TestWhoBeganInTheMiddleGoesOnThere(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	old := r.listen("c1/events", bearer("alice")) // keeps the topic: it knows nothing of what the next one has
	for i, category := range []string{"engine", "tool", "info"} {
		r.store("c1", category, strconv.Itoa(i+1))
		old.expect(strconv.Itoa(i + 1))
	}
	for range 5 {
		l := r.listen("c1/events", bearer("alice"))
		r.store("c1", "info", "seen")
		id := l.expect("seen").id
		l.close()
		eventually(t, "one listens", func() bool { return r.gateway.Stats().Sockets == 1 })
		r.store("c1", "engine", "missed")
		l = r.listen("c1/events", bearer("alice"), "Last-Event-ID: "+id)
		l.expect("missed")
		l.close()
		eventually(t, "one listens", func() bool { return r.gateway.Stats().Sockets == 1 })
	}
}
