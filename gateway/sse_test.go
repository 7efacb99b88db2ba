package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// event is one server-sent event, or a comment.
type event struct {
	id, name, data, retry, comment string
}

// listener is a client of a stream of events.
type listener struct {
	t      testing.TB
	resp   *http.Response
	events chan event // closed at the end of the stream
}

// get asks for what stands below /v1/conversations/; fields are of the header.
func (r *rig) get(path string, fields ...string) *http.Response {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base()+"/v1/conversations/"+path, nil)
	must(r.t, err)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	begun := time.AfterFunc(patience, cancel)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	must(r.t, err)
	begun.Stop()
	r.t.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	return resp
}

func (r *rig) base() string { return "http" + strings.TrimPrefix(r.url, "ws") }

func bearer(token string) string { return "Authorization: Bearer " + token }

// listen opens a stream that must be there.
func (r *rig) listen(path string, fields ...string) *listener {
	r.t.Helper()
	resp := r.get(path, fields...)
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("%s: %s %s", path, resp.Status, body)
	}
	l := &listener{t: r.t, resp: resp, events: make(chan event, 10_000)}
	go func() { // ends with the stream
		defer close(l.events)
		in := bufio.NewReader(resp.Body)
		for {
			e, err := readEvent(in)
			if err != nil {
				return
			}
			l.events <- e
		}
	}()
	if first := l.next(); first.retry == "" || first.name != "" {
		r.t.Fatalf("the first thing is %+v, want how long to wait", first)
	}
	return l
}

// seq is the number in the event's id.
func (e event) seq() string {
	seq, epoch, _ := strings.Cut(e.id, "-")
	if epoch == "" {
		return "no epoch in " + e.id
	}
	return seq
}

// readEvent reads up to an empty line.
func readEvent(in *bufio.Reader) (e event, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return event{}, err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			return e, nil
		case name == "":
			e.comment = line
		case name == "id":
			e.id = value
		case name == "event":
			e.name = value
		case name == "data":
			e.data += value
		case name == "retry":
			e.retry = value
		default:
			return event{}, fmt.Errorf("line %q", line)
		}
	}
}

// next is the next event or comment; the zero event at the end of the stream.
func (l *listener) next() event {
	l.t.Helper()
	select {
	case e := <-l.events:
		return e
	case <-time.After(patience):
		l.t.Fatal("nothing came")
		return event{}
	}
}

// expect reads one status with the text.
func (l *listener) expect(text string) event {
	l.t.Helper()
	e := l.next()
	var m struct{ Text string }
	if e.name != "status" || json.Unmarshal([]byte(e.data), &m) != nil || m.Text != text {
		l.t.Fatalf("got %+v, want the status %q", e, text)
	}
	return e
}

// expectEnd reads the last event and the end behind it.
func (l *listener) expectEnd(code, errCode int, text string) event {
	l.t.Helper()
	e := l.next()
	checkWire(l.t, e.data, code, errCode, text)
	if e.name != "error" || e.retry == "" {
		l.t.Fatalf("the last event is %+v", e)
	}
	if more := l.next(); more != (event{}) {
		l.t.Fatalf("behind the end came %+v", more)
	}
	return e
}

func (l *listener) close() { _ = l.resp.Body.Close() }

func checkWire(t testing.TB, body string, code, errCode int, text string) {
	t.Helper()
	var refused struct{ Error status.Error }
	if err := json.Unmarshal([]byte(body), &refused); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	if e := refused.Error; e.Code != code || e.ErrCode != errCode || !strings.Contains(e.Description, text) {
		t.Fatalf("got %+v, want %d, %d and %q", e, code, errCode, text)
	}
}

// mustRefuseHTTP holds that a request is refused, and returns the answer.
func (r *rig) mustRefuseHTTP(path string, code, errCode int, text string, fields ...string) *http.Response {
	r.t.Helper()
	resp := r.get(path, fields...)
	body, err := io.ReadAll(resp.Body)
	must(r.t, err)
	if resp.StatusCode != code || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "no-store" {
		r.t.Fatalf("%s: %s %v %s, want %d", path, resp.Status, resp.Header, body, code)
	}
	wireCode := code
	if code == http.StatusMethodNotAllowed {
		wireCode = 400
	}
	checkWire(r.t, string(body), wireCode, errCode, text)
	return resp
}

func TestStatusesArriveAsEvents(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	l := r.listen("c1/events", bearer("alice"))
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no",
		"X-Content-Type-Options": "nosniff", "Vary": "Origin", "Access-Control-Allow-Origin": "",
	} {
		if got := l.resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	r.store("c1", "engine", "one")
	r.store("c1", "tool", "two")
	r.store("c2", "tool", "another's")
	// JSON may have line ends between its tokens.
	_, err := r.ingest.Request("ingest.c1.info", []byte("{\r\n \"text\": \"three\\n\",\n \"metadata\": {}}"), patience)
	must(t, err)
	first, second := l.expect("one"), l.expect("two")
	if first.seq() != "1" || second.seq() != "2" {
		t.Fatalf("ids are %q and %q, want the sequences", first.id, second.id)
	}
	if third := l.expect("three\n"); third.seq() != "4" || third.data != `{   "text": "three\n",  "metadata": {}}` {
		t.Fatalf("got %+v", third)
	}
}

func TestEverythingAfterTheHeadArrives(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	for i := range 20 {
		l := r.listen("c1/events", bearer("alice"))
		r.store("c1", "engine", strconv.Itoa(i))
		l.expect(strconv.Itoa(i))
		l.close()
	}
}

func TestCategoriesAreFilteredAndCounted(t *testing.T) {
	r := newRig(t, gateway.Options{Limits: limit.Options{MeterRules: limit.MeterRules{Categories: limit.Rule{Value: 6}}}})
	r.members.set("c1", "alice", true)
	two := r.listen("c1/events?categories=engine,tool,engine", bearer("alice"))
	one := r.listen("c1/events?categories=tool", bearer("alice"))
	all := r.listen("c1/events", bearer("alice"))
	for _, category := range []string{"engine", "info", "tool"} {
		r.store("c1", category, category)
		all.expect(category)
	}
	two.expect("engine")
	if e := two.expect("tool"); e.seq() != "3" {
		t.Errorf("got %+v", e)
	}
	one.expect("tool")
	eventually(t, "six are delivered", func() bool { return r.fanout.Stats().Delivered == 2+1+3 })

	var got [][]session.Subscription
	for _, s := range r.gateway.Sessions(session.Filter{User: "alice"}) {
		if s.Lang != "sse" || !slices.Equal(s.Conversations, []status.ConversationID{"c1"}) {
			t.Errorf("a session is %+v", s)
		}
		got = append(got, s.Subscriptions)
	}
	want := [][]session.Subscription{
		{{Subject: "status.c1.engine", Delivered: 1}, {Subject: "status.c1.tool", Delivered: 1}},
		{{Subject: "status.c1.tool", Delivered: 1}},
		{{Subject: "status.c1.*", Delivered: 3}},
	}
	if !slices.EqualFunc(got, want, slices.Equal[[]session.Subscription]) {
		t.Errorf("they have %+v, want %+v", got, want)
	}
	use := r.gateway.ConversationUse("c1")
	if use.Connections != 3 || use.Users != 1 || use.Categories["tool"] != 3 || use.Categories["engine"] != 2 || use.Categories["info"] != 1 {
		t.Errorf("c1 is used so: %+v", use)
	}
	r.mustRefuseHTTP("c1/events?categories=a,b,c,d,e,f,g", 400, 20205, "a stream may have 6 categories: name fewer", bearer("alice"))
	r.listen("c1/events?categories=a,b,c,d,e,f", bearer("alice"))
}

func TestAStreamIsAConnectionForPresence(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	l := r.listen("c1/events?categories=engine,tool", bearer("alice"))
	if got := r.attendance.all(); got != "join c1 alice 1" {
		t.Fatalf("presence heard %s", got)
	}
	l.close()
	eventually(t, "the end is a leave", func() bool { return r.attendance.all() == "join c1 alice 1, leave c1 alice 1" })
	if r.gateway.Stats().Sockets != 0 || r.fanout.Stats().Topics != 0 {
		eventually(t, "nothing is held", func() bool { return r.gateway.Stats().Sockets == 0 && r.fanout.Stats().Topics == 0 })
	}
	if held := r.gateway.Held(); held != (gateway.Held{}) {
		t.Fatalf("%+v is held", held)
	}
}

func TestTheTokenComesByHeaderOrCookieAndNeverByTheURL(t *testing.T) {
	r := newRig(t, gateway.Options{TokenCookie: "app"})
	r.members.set("c1", "alice", true)
	r.listen("c1/events", bearer("alice"))
	r.listen("c1/events", "Authorization: bearer  alice")
	r.listen("c1/events", "Cookie: app=alice")
	r.listen("c1/events", "Cookie: app=alice", "Authorization: Basic YTpi")
	if calls := r.callout.count(); calls > 2 {
		t.Errorf("%d callouts: they share a grant", calls)
	}
	for _, fields := range [][]string{nil, {"Cookie: other=alice"}, {"Authorization: Bearer"}, {"Authorization: alice"}} {
		resp := r.mustRefuseHTTP("c1/events", 401, 20201, "no token: send your application's token in the header", fields...)
		if got := resp.Header.Get("WWW-Authenticate"); got != `Bearer realm="statuswire"` {
			t.Errorf("WWW-Authenticate is %q", got)
		}
	}
	r.mustRefuseHTTP("c1/events", 400, 20101, "Authorization is there twice", bearer("alice"), bearer("bob"))
	for _, name := range []string{"token", "access_token", "authorization"} {
		resp := r.get("c1/events?" + name + "=alice-secret")
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 400 || strings.Contains(string(body), "secret") {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	r.mustRefuseHTTP("c1/events", 401, 20201, "token too long: at most 4096 bytes are allowed", bearer(strings.Repeat("x", 5000)))
	if strings.Contains(r.log.String(), "secret") {
		t.Errorf("the log has the token: %s", r.log)
	}
}

func TestAStrangersConversationLooksLikeOneThatIsNotThere(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("bobs", "bob", true)
	r.members.set("mine", "alice", true)
	r.listen("mine/events", bearer("alice")) // the grant is there already
	answer := func(c string) string {
		resp := r.get(c+"/events", bearer("alice"))
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Header.Del("Date")
		return strings.ReplaceAll(fmt.Sprintf("%s %v %s", resp.Status, resp.Header, body), c, "X")
	}
	if a, b := answer("bobs"), answer("none"); a != b || !strings.Contains(a, `404 Not Found`) ||
		!strings.Contains(a, `{"error":{"code":404,"err_code":20102,"description":"conversation \"X\" is not found or not yours"}}`) {
		t.Fatalf("a stranger's: %s\nnone: %s", a, b)
	}
}

func TestWhatIsPassingSaysWhenToComeBack(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	passing := func(code, errCode int, text string) {
		t.Helper()
		resp := r.mustRefuseHTTP("c1/events", code, errCode, text, bearer("alice"))
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || n < 1 {
			t.Errorf("Retry-After is %q", resp.Header.Get("Retry-After"))
		}
	}
	r.members.mu.Lock()
	r.members.err = fmt.Errorf("no directory")
	r.members.mu.Unlock()
	passing(503, 20030, "not available just now")
	r.members.mu.Lock()
	r.members.err = nil
	r.members.mu.Unlock()
	r.callout.set(func(c *callout) {
		c.deny = func(string) *session.Denial { return &session.Denial{Reason: "busy"} }
	})
	passing(503, 20030, "not available just now")
	r.callout.set(func(c *callout) {
		c.deny = func(string) *session.Denial { return &session.Denial{Reason: "token expired", Final: true} }
	})
	resp := r.mustRefuseHTTP("c1/events", 401, 20201, "token expired", bearer("bob"))
	if got := resp.Header.Get("Retry-After"); got != "" {
		t.Errorf("Retry-After is %q for what is final", got)
	}
}

func TestPagesOfOtherOriginsAreAskedByCORS(t *testing.T) {
	r := newRig(t, gateway.Options{TokenCookie: "app", AllowedOrigins: []string{"https://app.example.com"}})
	r.members.set("c1", "alice", true)
	own := r.listen("c1/events", "Cookie: app=alice", "Origin: "+r.base())
	if got := own.resp.Header.Get("Access-Control-Allow-Origin"); got != r.base() {
		t.Errorf("its own origin: %q", got)
	}
	allowed := r.listen("c1/events", "Cookie: app=alice", "Origin: https://app.example.com")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Credentials": "true", "Vary": "Origin",
	} {
		if got := allowed.resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	r.mustRefuseHTTP("none/events", 404, 20102, "", "Cookie: app=alice", "Origin: https://app.example.com")
	foreign := r.mustRefuseHTTP("c1/events", 403, 20203, "this origin is not allowed", bearer("alice"), "Origin: https://evil.example.com")
	if got := foreign.Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("a foreign origin may read: %q", got)
	}
	for site, let := range map[string]bool{"same-origin": true, "none": true, "cross-site": false, "same-site": false} {
		resp := r.get("c1/events", "Cookie: app=alice", "Sec-Fetch-Site: "+site)
		if (resp.StatusCode == 200) != let || !let && resp.StatusCode != 403 {
			t.Errorf("without an origin, from %s: %s", site, resp.Status)
		}
	}
}

func TestAnyOriginMayReadWithATokenOfItsOwn(t *testing.T) {
	r := newRig(t, gateway.Options{AllowedOrigins: []string{"*"}})
	r.members.set("c1", "alice", true)
	any := r.listen("c1/events", bearer("alice"), "Origin: https://else.example.com")
	if h := any.resp.Header; h.Get("Access-Control-Allow-Origin") != "https://else.example.com" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("anybody gets %v", h)
	}
}

func TestABrowserMayAskWhatItMaySend(t *testing.T) {
	r := newRig(t, gateway.Options{AllowedOrigins: []string{"https://app.example.com"}})
	ask := func(method, origin string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, r.base()+"/v1/conversations/c1/events", nil)
		must(t, err)
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "GET")
		req.Header.Set("Access-Control-Request-Headers", "authorization")
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		must(t, err)
		_ = resp.Body.Close()
		return resp
	}
	resp := ask(http.MethodOptions, "https://app.example.com")
	if h := resp.Header; resp.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
		!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || h.Get("Access-Control-Allow-Methods") != "GET" || h.Get("Access-Control-Max-Age") == "" {
		t.Errorf("%s %v", resp.Status, h)
	}
	if resp := ask(http.MethodOptions, "https://evil.example.com"); resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign page may ask: %s %v", resp.Status, resp.Header)
	}
	for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodDelete} {
		if resp := ask(method, "https://app.example.com"); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, OPTIONS" {
			t.Errorf("%s: %s %v", method, resp.Status, resp.Header)
		}
	}
}

func TestARequestThatMakesNoSenseIsToldWhy(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	for path, text := range map[string]string{
		"c1/events?categorys=engine":                           `unknown parameter \"categorys\": there are categories, last_event_id, snapshot`,
		"c1/events?categories=engine,":                         "it is empty",
		"c1/events?categories=Engine":                          `bad category \"Engine\"`,
		"c1/events?categories=a&categories=b":                  "parameter categories is there twice",
		"c1/events?last_event_id=-1":                           `parameter last_event_id \"-1\" is no id of an event`,
		"c1/events?last_event_id=1e3":                          "whole numbers",
		"c1/events?last_event_id=1-":                           "is no id of an event",
		"c1/events?last_event_id=1-A":                          "is no id of an event",
		"c1/events?last_event_id=1-a-b":                        "is no id of an event",
		"c1/events?last_event_id=1-" + strings.Repeat("e", 33): "is no id of an event",
		"c1/events?categories=%zz":                             "cannot be read",
		"c%201/events":                                         "bad conversation id",
		strings.Repeat("c", 129) + "/events":                   "at most 128",
		"c1/events?categories=" + strings.Repeat("a", 33):      "it has 33 bytes",
	} {
		resp := r.mustRefuseHTTP(path, 400, 20101, "", bearer("alice"))
		_ = resp
		body := r.get(path, bearer("alice"))
		text2, _ := io.ReadAll(body.Body)
		if !strings.Contains(string(text2), text) {
			t.Errorf("%s: %s, want %s", path, text2, text)
		}
	}
	r.mustRefuseHTTP("c1/events", 400, 20101, `header Last-Event-ID "abc" is no id`, bearer("alice"), "Last-Event-ID: abc")
	if r.gateway.Stats().Sockets != 0 || r.gateway.Held() != (gateway.Held{}) {
		t.Errorf("something is held: %+v %+v", r.gateway.Stats(), r.gateway.Held())
	}
}

func TestLimitsOnStreamsAreExact(t *testing.T) {
	t.Run("connections of a user", func(t *testing.T) {
		r := newRig(t, gateway.Options{Limits: limit.Options{ConnectionsPerUser: limit.Rule{Value: 2}}})
		r.members.set("c1", "alice", true)
		r.login("alice")
		second := r.listen("c1/events", bearer("alice"))
		resp := r.mustRefuseHTTP("c1/events", 429, 20206, "this user has 2 connections", bearer("alice"))
		if resp.Header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
		}
		second.close()
		eventually(t, "room", func() bool { return r.get("c1/events", bearer("alice")).StatusCode == 200 })
	})
	t.Run("connections of an address", func(t *testing.T) {
		r := newRig(t, gateway.Options{Limits: limit.Options{ConnectionsPerAddress: limit.Rule{Value: 2}}})
		r.members.set("c1", "alice", true)
		r.login("alice")
		r.listen("c1/events", bearer("alice"))
		r.mustRefuseHTTP("c1/events", 429, 20206, "this address has 2 connections", bearer("alice"))
	})
	t.Run("failed logins", func(t *testing.T) {
		r := newRig(t, gateway.Options{Limits: limit.Options{FailedLogins: limit.Rule{Value: 2}}})
		r.callout.set(func(c *callout) {
			c.deny = func(string) *session.Denial { return &session.Denial{Reason: "no", Final: true, BadToken: true} }
		})
		for range 2 {
			r.mustRefuseHTTP("c1/events", 401, 20201, "no", bearer("mallory"))
		}
		r.mustRefuseHTTP("c1/events", 429, 20206, "2 failed logins from this address", bearer("mallory"))
	})
	t.Run("subscription changes, and the same set again is free", func(t *testing.T) {
		r := newRig(t, gateway.Options{Limits: limit.Options{SubscriptionChanges: limit.Rule{Value: 5}}})
		r.members.set("c1", "alice", true)
		first := r.listen("c1/events?categories=engine,tool,info", bearer("alice"))
		resp := r.mustRefuseHTTP("c1/events?categories=error,workflow,progress", 429, 20206, "more than 5 subscription changes within a minute", bearer("alice"))
		if n, _ := strconv.Atoi(resp.Header.Get("Retry-After")); n < 55 || n > 60 {
			t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
		}
		r.listen("c1/events?categories=error,workflow", bearer("alice")) // what was refused has not counted
		r.mustRefuseHTTP("c1/events?categories=error", 429, 20206, "more than 5", bearer("alice"))
		first.close()
		eventually(t, "the stream has ended", func() bool { return r.gateway.Stats().Sockets == 1 })
		for range 5 {
			again := r.listen("c1/events?categories=tool,info,engine", bearer("alice"))
			again.close()
			eventually(t, "the stream has ended", func() bool { return r.gateway.Stats().Sockets == 1 })
		}
	})
}

func TestLostAccessEndsTheStreamInWords(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.members.set("c2", "alice", true)
	one, two, other := r.listen("c1/events", bearer("alice")), r.listen("c1/events?categories=engine,tool", bearer("alice")), r.listen("c2/events", bearer("alice"))
	r.members.set("c1", "alice", false)
	begin := time.Now()
	r.gateway.AccessChanged("c1")
	one.expectEnd(404, 20102, `your access to conversation "c1" has ended`)
	two.expectEnd(404, 20102, `your access to conversation "c1" has ended`)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v", took)
	}
	r.store("c2", "engine", "still here")
	other.expect("still here")
	r.mustRefuseHTTP("c1/events", 404, 20102, "not found or not yours", bearer("alice"))
}

func TestAStreamEndsWithItsGrant(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) { c.lifetime = 2 * time.Second })
	r.listen("c1/events", bearer("alice")).expectEnd(401, 20202, "grant expired: reconnect with a fresh token")
}

func TestAKickEndsStreams(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	l := r.listen("c1/events", bearer("alice"))
	if n := r.gateway.Kick("alice", "go home", "operator"); n != 1 {
		t.Fatalf("%d connections were kicked", n)
	}
	l.expectEnd(503, 20207, "go home")
}

func TestAKickReachesAStreamThatHasNotBegun(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	joins, hold := make(chan struct{}), make(chan struct{})
	calls := 0
	r.callout.set(func(c *callout) {
		c.around = func() func() {
			if calls++; calls == 2 { // the join, after the login
				close(joins)
				<-hold
			}
			return func() {}
		}
	})
	answer := make(chan *http.Response, 1)
	go func() { answer <- r.get("c1/events", bearer("alice")) }()
	<-joins // a kick before would have the login decided anew
	if n := r.gateway.Kick("alice", "go home", "operator"); n != 1 {
		t.Fatalf("%d connections were kicked", n)
	}
	resp := <-answer
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	close(hold)
	if resp.StatusCode != 503 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	checkWire(t, string(body), 503, 20207, "go home")
}

func TestStopEndsStreamsWithAHint(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	a, b := r.listen("c1/events", bearer("alice")), r.listen("c1/events", bearer("alice"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.gateway.Stop(ctx) }()
	for _, l := range []*listener{a, b} {
		e := l.expectEnd(503, 20030, "server is stopping: reconnect")
		if n, err := strconv.Atoi(e.retry); err != nil || n < 1000 || n >= 3000 {
			t.Errorf("retry is %q, want 1 to 3 s", e.retry)
		}
	}
	must(t, <-done)
	resp := r.mustRefuseHTTP("c1/events", 503, 20030, "stopping", bearer("alice"))
	if resp.Header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
	}
}

func TestAnIdleStreamHasAHeartbeat(t *testing.T) {
	r := newRig(t, gateway.Options{PingInterval: 50 * time.Millisecond})
	r.members.set("c1", "alice", true)
	l := r.listen("c1/events", bearer("alice"))
	begin := time.Now()
	for range 3 {
		if e := l.next(); e != (event{comment: ":"}) {
			t.Fatalf("got %+v, want a comment", e)
		}
	}
	if took := time.Since(begin); took < 80*time.Millisecond {
		t.Errorf("three heartbeats within %v", took)
	}
	r.store("c1", "engine", "between")
	eventually(t, "the status", func() bool { return l.next().name == "status" })
}

// rawStream asks by hand, so that the test sees the bytes and decides what to read.
func (r *rig) rawStream(request string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "ws://"))
	must(r.t, err)
	r.t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte(request))
	must(r.t, err)
	return conn
}

func TestWhoSendsIntoAStreamIsShownOut(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	conn := r.rawStream("GET /v1/conversations/c1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n")
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	must(t, err)
	if line != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("got %q", line)
	}
	_, err = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	must(t, err)
	all, err := io.ReadAll(in)
	must(t, err)
	if !strings.Contains(string(all), "event: error\ndata: {\"error\":{\"code\":400,\"err_code\":20101,\"description\":\"a stream takes no input") {
		t.Fatalf("it ends so: %s", all)
	}
}

func TestAnOldClientIsServed(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	conn := r.rawStream("GET /v1/conversations/c1/events HTTP/1.0\r\nAuthorization: Bearer alice\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	first, err := readEvent(in)
	must(t, err)
	r.store("c1", "engine", "one")
	e, err := readEvent(in)
	must(t, err)
	if resp.StatusCode != 200 || first.retry == "" || e.seq() != "1" {
		t.Fatalf("%s %+v %+v", resp.Status, first, e)
	}
}

// unhijackable is what HTTP/2 gives: an answer whose connection is others' too.
type unhijackable struct{ http.ResponseWriter }

func TestWhatCannotBeServedIsSaidInWords(t *testing.T) {
	r := newRig(t, gateway.Options{})
	server := newHTTPServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.gateway.API().ServeHTTP(unhijackable{w}, req)
	}))
	r.url = "ws" + strings.TrimPrefix(server.URL, "http")
	resp := r.get("c1/events", bearer("alice"))
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != 505 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	checkWire(t, string(body), 400, 20101, "by HTTP/1.1")
}

func TestASlowStreamIsClosedAndTheOthersGoOn(t *testing.T) {
	r := newRig(t, gateway.Options{MaxQueueBytes: 80 << 10})
	r.members.set("c1", "alice", true)
	r.members.set("c1", "bob", true)
	slow := r.rawStream("GET /v1/conversations/c1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n")
	must(t, slow.(*net.TCPConn).SetReadBuffer(4096))
	quick := r.listen("c1/events", bearer("bob"))
	eventually(t, "both are there", func() bool { return r.gateway.ConversationUse("c1").Connections == 2 })
	text := strings.Repeat("x", 32<<10)
	sent := 0
	eventually(t, "the slow one is closed", func() bool {
		r.store("c1", "engine", text)
		sent++
		return r.gateway.Stats().SlowCloses == 1
	})
	for range sent {
		quick.expect(text)
	}
	eventually(t, "it is gone", func() bool { return r.gateway.ConversationUse("c1").Connections == 1 })
}

func TestAGrantOfSingleCategoriesIsAllThatAStreamGets(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) {
		c.grant = func(_ string, claims *jwt.UserClaims) {
			if claims.Sub.Allow.Contains("status.c1.*") {
				claims.Sub.Allow = jwt.StringList{"_INBOX.>", "status.c1.engine", "status.c1.info"}
			}
		}
	})
	l := r.listen("c1/events", bearer("alice"))
	r.mustRefuseHTTP("c1/events?categories=engine,tool", 403, 20204, "the login does not cover it", bearer("alice"))
	named := r.listen("c1/events?categories=info", bearer("alice"))
	for _, category := range []string{"engine", "tool", "info"} {
		r.store("c1", category, category)
	}
	l.expect("engine")
	l.expect("info")
	named.expect("info")
}

func TestADeniedCategoryIsLeftOut(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) {
		c.grant = func(_ string, claims *jwt.UserClaims) { claims.Sub.Deny.Add("status.*.tool") }
	})
	l := r.listen("c1/events", bearer("alice"))
	for _, category := range []string{"engine", "tool", "info"} {
		r.store("c1", category, category)
	}
	l.expect("engine")
	l.expect("info")
}

func TestRefusalsOfStreamsLeaveOneRecordEach(t *testing.T) {
	r := newRig(t, gateway.Options{Limits: limit.Options{
		MeterRules:         limit.MeterRules{Categories: limit.Rule{Value: 6}},
		ConnectionsPerUser: limit.Rule{Value: 2},
	}})
	r.members.set("c1", "alice", true)
	token := bearer("alice/secret-token")
	r.callout.set(func(c *callout) {
		c.deny = func(user string) *session.Denial {
			if user == "mallory" {
				return &session.Denial{Reason: "token expired", Final: true, User: "mallory"}
			}
			return nil
		}
	})
	r.mustRefuseHTTP("c1/events", 401, 20201, "token expired", bearer("mallory/secret-token"))
	r.mustRefuseHTTP("c1/events", 401, 20201, "no token")
	r.mustRefuseHTTP("c1/events", 403, 20203, "", token, "Origin: https://evil.example.com")
	r.mustRefuseHTTP("c9/events", 404, 20102, "", token)
	r.mustRefuseHTTP("c1/events?categories=a,b,c,d,e,f,g", 400, 20205, "", token)
	r.mustRefuseHTTP("c1/events?secret-token", 400, 20101, "", token) // no denial
	eventually(t, "what was refused holds no place", func() bool { return r.gateway.Stats().Sockets == 0 })
	one := r.listen("c1/events?categories=engine", token)
	two := r.listen("c1/events?categories=tool", token)
	r.mustRefuseHTTP("c1/events", 429, 20206, "", token)
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	one.expectEnd(404, 20102, "")
	two.expectEnd(404, 20102, "")

	got := map[string]int{}
	for _, rec := range r.records() {
		got[fmt.Sprintf("%s|%s|%s|%s|%d", rec.Kind, rec.User, rec.Subject, rec.Limit, rec.Code)] += rec.Count
		if all, _ := json.Marshal(rec); strings.Contains(string(all), "secret") || strings.Contains(string(all), "Violation") {
			t.Errorf("a record: %s", all)
		}
	}
	want := map[string]int{
		"denied|mallory|||401":                    1,
		"denied||||401":                           1,
		"denied||||403":                           1,
		"refused|alice|status.c9.*||0":            1,
		"limited|alice|status.c1.*|categories|0":  1,
		"limited|alice||connections_per_user|429": 1,
		"revoked|alice|status.c1.engine||0":       1,
		"revoked|alice|status.c1.tool||0":         1,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	if strings.Contains(r.log.String(), "secret") {
		t.Errorf("the log has the token: %s", r.log)
	}
}
