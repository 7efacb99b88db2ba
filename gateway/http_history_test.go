package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// Conversation implements edge.Directory.
func (m *members) Conversation(_ context.Context, c status.ConversationID) (directory.Conversation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	conversation := directory.Conversation{ID: c}
	for u, in := range m.of[c] {
		if in {
			conversation.Members = append(conversation.Members, u)
		}
	}
	if len(conversation.Members) == 0 {
		return conversation, directory.ErrNotFound
	}
	return conversation, m.err
}

// newRigWithEdge has the real edge behind the gateway.
func newRigWithEdge(t *testing.T, opts gateway.Options, bounds edge.HistoryOptions) *rig {
	r := newRig(t, opts)
	nc, err := r.engine.Connect(engine.PartEdge)
	must(t, err)
	t.Cleanup(nc.Close)
	e, err := edge.New(nc, edge.Deps{Directory: r.members, History: history.NewReader(nc)}, edge.Options{History: bounds})
	must(t, err)
	must(t, e.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, e.Stop(ctx))
	})
	return r
}

// line is one line of an answer.
type line struct {
	Seq     int
	Subject string
	Time    time.Time
	Status  struct{ Text, Category string }
	End     *struct {
		Count     int
		NextAfter int `json:"next_after"`
		Epoch     string
		More      *bool
		Truncated int
	}
	Error *status.Error
}

func readLines(t testing.TB, in io.Reader) (statuses []line, last line) {
	t.Helper()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if last.End != nil || last.Error != nil {
			t.Fatalf("behind the end: %s", lines.Bytes())
		}
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%v: %.200s", err, lines.Bytes())
		}
		if last = l; l.Seq > 0 {
			statuses = append(statuses, l)
		}
	}
	must(t, lines.Err())
	if last.Error == nil && (last.End == nil || last.End.More == nil || last.End.Count != len(statuses)) {
		t.Fatalf("the last of %d lines is %+v", len(statuses), last)
	}
	return statuses, last
}

// history asks and reads the whole answer.
func (r *rig) history(path string, fields ...string) (statuses []line, last line) {
	r.t.Helper()
	resp := r.get(path, fields...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" || resp.Header.Get("X-Accel-Buffering") != "no" {
		body, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("%s: %s %v %s", path, resp.Status, resp.Header, body)
	}
	return readLines(r.t, resp.Body)
}

func sequences(lines []line) (all []int) {
	for _, l := range lines {
		all = append(all, l.Seq)
	}
	return all
}

func TestTheHistoryIsReadLineByLine(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{})
	r.members.set("c1", "alice", true)
	begin := time.Now()
	for i := 1; i <= 6; i++ {
		r.store("c1", []string{"engine", "tool"}[i%2], strconv.Itoa(i))
	}
	all, last := r.history("c1/history", bearer("alice"))
	if !slices.Equal(sequences(all), []int{1, 2, 3, 4, 5, 6}) || *last.End.More || last.End.NextAfter != 6 || last.End.Truncated != 0 {
		t.Fatalf("got %v and %+v", sequences(all), last.End)
	}
	if l := all[2]; l.Subject != "status.c1.tool" || l.Status.Text != "3" || l.Time.Before(begin.Add(-time.Second)) || l.Time.After(time.Now().Add(time.Second)) {
		t.Errorf("the third is %+v", l)
	}
	some, last := r.history("c1/history?categories=engine&after=2&limit=1", bearer("alice"))
	if !slices.Equal(sequences(some), []int{4}) || !*last.End.More || last.End.NextAfter != 4 {
		t.Errorf("got %v and %+v", sequences(some), last.End)
	}
	some, last = r.history(fmt.Sprintf("c1/history?categories=engine&after=%d", last.End.NextAfter), bearer("alice"))
	if !slices.Equal(sequences(some), []int{6}) || *last.End.More {
		t.Errorf("then %v and %+v", sequences(some), last.End)
	}
	none, last := r.history("c1/history?since="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+"&min_priority=urgent", bearer("alice"))
	if len(none) != 0 || *last.End.More || last.End.NextAfter != 6 {
		t.Errorf("of the future: %v and %+v", sequences(none), last.End)
	}
	r.members.set("empty", "alice", true)
	if none, last := r.history("empty/history", bearer("alice")); len(none) != 0 || *last.End.More {
		t.Errorf("of nothing: %v and %+v", sequences(none), last.End)
	}
	epoch := last.End.Epoch
	if some, last := r.history("c1/history?after=5&epoch="+epoch, bearer("alice")); epoch == "" || !slices.Equal(sequences(some), []int{6}) || last.End.Epoch != epoch {
		t.Errorf("with the epoch: %v and %+v", sequences(some), last.End)
	}
	r.purge(4)
	if some, last := r.history("c1/history?after=1", bearer("alice")); !slices.Equal(sequences(some), []int{4, 5, 6}) || last.End.Truncated != 4 {
		t.Errorf("got %v and %+v", sequences(some), last.End)
	}
	eventually(t, "nothing is held", func() bool { return r.gateway.Held() == gateway.Held{} && r.gateway.Stats().Sockets == 0 })
}

func TestAHistoryThatCannotBeReadIsAStatus(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{})
	r.members.set("c1", "alice", true)
	r.store("c1", "engine", "one")
	for _, tt := range []struct {
		path          string
		code, errCode int
		text          string
	}{
		{"c1/history?limit=0", 400, 20101, `limit is "0": it must be a number from 1 to 10000`},
		{"c1/history?limit=10001", 400, 20101, "from 1 to 10000"},
		{"c1/history?limit=many", 400, 20101, `parameter limit is "many"`},
		{"c1/history?limit=", 400, 20101, "parameter limit is empty"},
		{"c1/history?since=yesterday", 400, 20101, `since is "yesterday"`},
		{"c1/history?min_priority=huge", 400, 20101, "it must be low, normal, high or urgent"},
		{"c1/history?after=-1", 400, 20101, `parameter after is "-1"`},
		{"c1/history?categories=A", 400, 20101, "bad category"},
		{"c1/history?last_event_id=1", 400, 20101, "unknown parameter"},
		{"c1/history?after=4711", 409, 20121, "above the stream's last sequence"},
		{"c1/history?epoch=another&after=1", 409, 20121, "another epoch"},
		{"c1/history?epoch=another", 409, 20121, "another epoch"},
		{"c1/history?epoch=", 400, 20101, "parameter epoch is empty"},
		{"c1/history?epoch=" + strings.Repeat("e", 33), 400, 20101, "epoch is"},
		{"c9/history", 404, 20102, `conversation "c9" is not found or not yours`},
	} {
		r.mustRefuseHTTP(tt.path, tt.code, tt.errCode, tt.text, bearer("alice"))
	}
	r.mustRefuseHTTP("c1/history", 401, 20201, "no token")
	r.mustRefuseHTTP("c1/history", 403, 20203, "", bearer("alice"), "Origin: https://evil.example.com")
}

func TestWithoutAnEdgeTheHistoryIsNotAvailable(t *testing.T) {
	r := newRig(t, gateway.Options{RequestTimeout: 200 * time.Millisecond})
	r.members.set("c1", "alice", true)
	resp := r.mustRefuseHTTP("c1/history", 503, 20030, "not available just now", bearer("alice"))
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.answerHistory(func(m *nats.Msg) { r.part(m, 1, "{}", "") }) // and no end
	got, last := readLines(t, r.get("c1/history", bearer("alice")).Body)
	if len(got) != 1 || last.Error == nil {
		t.Fatalf("got %v, then %+v", got, last)
	}
	checkWire(t, string(last.Error.Response()), 503, 20030, "not available just now")
}

// storeMany stores more than the kernel's buffers and the queue take.
func (r *rig) storeMany() (total int) {
	text := strings.Repeat("x", 32<<10)
	for i := range 700 {
		r.store("c1", "engine", strconv.Itoa(i)+text)
	}
	return 700
}

const historyRequest = "GET /v1/conversations/c1/history HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n"

func TestAHistoryWaitsForItsReader(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{MaxBytes: 1 << 30, PerUser: 1})
	r.members.set("c1", "alice", true)
	total := r.storeMany()
	conn := r.rawStream(historyRequest)
	eventually(t, "it waits", func() bool { return r.gateway.Stats().Sheltered > 64<<10 })
	r.mustRefuseHTTP("c1/history", 429, 20122, "1 histories, which is the limit", bearer("alice"))
	if waits := r.gateway.Stats().Sheltered; waits > 1<<20 {
		t.Errorf("%d bytes wait", waits)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	all, last := readLines(t, resp.Body)
	if len(all) != total || *last.End.More || r.gateway.Stats().SlowCloses != 0 {
		t.Errorf("%d of %d came, then %+v", len(all), total, last.End)
	}
	for i, l := range all {
		if l.Seq != i+1 {
			t.Fatalf("line %d has the sequence %d", i, l.Seq)
		}
	}
}

// What waits for the reader when the stream has been read is written as well, to one
// that pauses for longer than an end lingers.
func TestAHistoryIsWholeForAReaderThatPausesBeforeItsEnd(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{PerUser: 1})
	r.members.set("c1", "alice", true)
	const total = 7
	for i := range total {
		r.store("c1", "engine", strconv.Itoa(i)+strings.Repeat("x", 32<<10))
	}
	server := httptest.NewUnstartedServer(r.gateway.API())
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		must(t, conn.(*net.TCPConn).SetWriteBuffer(16<<10)) // little fits into the kernel
		return ctx
	}
	server.Start()
	t.Cleanup(server.Close)
	r.url = "ws" + strings.TrimPrefix(server.URL, "http")
	conn := r.rawStream(historyRequest)
	must(t, conn.(*net.TCPConn).SetReadBuffer(16<<10))
	eventually(t, "it waits", func() bool { return r.gateway.Stats().Sheltered > 64<<10 })
	eventually(t, "all is read from the stream", func() bool {
		return r.get("c1/history?limit=1", bearer("alice")).StatusCode == http.StatusOK
	})
	time.Sleep(1500 * time.Millisecond)
	if r.gateway.Stats().Sheltered == 0 {
		t.Error("nothing waits any more")
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	if all, last := readLines(t, resp.Body); len(all) != total || *last.End.More {
		t.Errorf("%d of %d came, then %+v", len(all), total, last.End)
	}
	eventually(t, "nothing is held", func() bool { return r.gateway.Held() == gateway.Held{} && r.gateway.Stats().Sockets == 0 })
}

func TestAHistoryEndsInWordsWhenItMayNotGoOn(t *testing.T) {
	for name, tt := range map[string]struct {
		do            func(r *rig)
		code, errCode int
		text          string
	}{
		"access lost": {func(r *rig) { r.members.set("c1", "alice", false); r.gateway.AccessChanged("c1") }, 404, 20102, "not found or not yours"},
		"kicked":      {func(r *rig) { r.gateway.Kick("alice", "go home", "operator") }, 503, 20207, "go home"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{MaxBytes: 1 << 30})
			r.members.set("c1", "alice", true)
			total := r.storeMany()
			conn := r.rawStream(historyRequest)
			eventually(t, "it waits", func() bool { return r.gateway.Stats().Sheltered > 64<<10 })
			tt.do(r)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			got, last := readLines(t, resp.Body)
			if len(got) == 0 || len(got) == total || last.Error == nil {
				t.Fatalf("%d of %d came, then %+v", len(got), total, last)
			}
			checkWire(t, string(last.Error.Response()), tt.code, tt.errCode, tt.text)
			eventually(t, "nothing is held", func() bool { return r.gateway.Held() == gateway.Held{} && r.gateway.Stats().Sockets == 0 })
		})
	}
}

// printf "GET …" | nc -N: the request is sent, and then the sending side shut down.
func TestAHistoryIsWholeForAReaderThatHasShutDownItsSide(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{MaxBytes: 1 << 30, PerUser: 1})
	r.members.set("c1", "alice", true)
	total := r.storeMany()
	for _, when := range []string{"at once", "within the answer"} {
		conn := r.rawStream(historyRequest)
		if when == "within the answer" {
			eventually(t, "it waits", func() bool { return r.gateway.Stats().Sheltered > 64<<10 })
		}
		must(t, conn.(*net.TCPConn).CloseWrite())
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		if all, last := readLines(t, resp.Body); len(all) != total || *last.End.More {
			t.Errorf("%s: %d of %d came, then %+v", when, len(all), total, last.End)
		}
		eventually(t, "nothing is held", func() bool { return r.gateway.Held() == gateway.Held{} && r.gateway.Stats().Sockets == 0 })
	}
}

func TestAReaderThatShutsDownItsSideAndGoesEndsItsHistory(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{MaxBytes: 1 << 30, PerUser: 1})
	r.members.set("c1", "alice", true)
	r.storeMany()
	conn := r.rawStream(historyRequest)
	eventually(t, "it waits", func() bool { return r.gateway.Stats().Sheltered > 64<<10 })
	must(t, conn.(*net.TCPConn).CloseWrite())
	_ = conn.Close()
	eventually(t, "nothing is held", func() bool { return r.gateway.Held() == gateway.Held{} && r.gateway.Stats().Sockets == 0 })
}

// With no more than a first part, all of it is in the kernel: nobody waits to write.
func TestAReaderThatShutDownItsSideAndGoesShowsAtTheNextPart(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	asked := make(chan *nats.Msg, 1)
	r.answerHistory(func(m *nats.Msg) { r.part(m, 1, "{}", ""); asked <- m })
	conn := r.rawStream(historyRequest)
	m := <-asked
	must(t, conn.(*net.TCPConn).CloseWrite())
	_ = conn.Close()
	eventually(t, "nothing is held", func() bool {
		r.part(m, 2, "{}", "")
		return r.gateway.Held() == gateway.Held{} && r.gateway.Stats().Sockets == 0
	})
}

func TestAReaderThatGoesEndsItsHistory(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{MaxBytes: 1 << 30, PerUser: 1})
	r.members.set("c1", "alice", true)
	r.storeMany()
	conn := r.rawStream(historyRequest)
	eventually(t, "it waits", func() bool { return r.gateway.Stats().Sheltered > 64<<10 })
	_ = conn.Close()
	eventually(t, "nothing is held", func() bool { return r.gateway.Held() == gateway.Held{} && r.gateway.Stats().Sockets == 0 })
	// Its user may read the next one.
	eventually(t, "the edge has ended it", func() bool {
		return r.get("c1/history?limit=1", bearer("alice")).StatusCode == http.StatusOK
	})
}

func TestTheHistoryHasWhatTheGrantCovers(t *testing.T) {
	r := newRigWithEdge(t, gateway.Options{}, edge.HistoryOptions{})
	r.members.set("c1", "alice", true)
	r.members.set("c1", "bob", true)
	r.members.set("c1", "carol", true)
	for _, category := range []string{"engine", "tool", "info"} {
		r.store("c1", category, category)
	}
	r.callout.set(func(c *callout) {
		c.grant = func(user string, claims *jwt.UserClaims) {
			switch {
			case !claims.Sub.Allow.Contains("status.c1.*"):
			case user == "alice":
				claims.Sub.Allow = jwt.StringList{"_INBOX.>", "status.c1.engine", "status.c1.info"}
			case user == "bob":
				claims.Sub.Deny.Add("status.*.tool")
			case user == "carol":
				claims.Pub.Allow = jwt.StringList{"gateway.token"}
			}
		}
	})
	for _, user := range []string{"alice", "bob"} {
		if got, _ := r.history("c1/history", bearer(user)); !slices.Equal(sequences(got), []int{1, 3}) {
			t.Errorf("%s gets %v", user, sequences(got))
		}
		r.mustRefuseHTTP("c1/history?categories=engine,tool", 403, 20204, "the login does not cover it", bearer(user))
	}
	r.mustRefuseHTTP("c1/history", 403, 20204, "the login does not cover it", bearer("carol"))
}
