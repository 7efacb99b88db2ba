//go:build e2e

package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// curl is a curl that reads a stream of events.
type curl struct {
	t      *testing.T
	cmd    *exec.Cmd
	events chan curlEvent // closed at the end of the output
	stderr bytes.Buffer
}

// curlEvent is one event, field by field.
type curlEvent map[string]string

func (e curlEvent) text() string {
	var m struct{ Text string }
	_ = json.Unmarshal([]byte(e["data"]), &m) // then it is none
	return m.Text
}

const streamTimeout = 10 * time.Second

// startCurl opens a stream of events, which has to begin.
func startCurl(t *testing.T, s *statuswire, path, token string, args ...string) *curl {
	t.Helper()
	args = append(args, "-sSN", "-H", "Authorization: Bearer "+token, s.HTTP+"/v1/conversations/"+path)
	c := &curl{t: t, cmd: exec.Command("curl", args...), events: make(chan curlEvent, 10_000)}
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	go func() { // ends with the output
		defer close(c.events)
		e := curlEvent{}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			if name != "" {
				e[name] = value
				continue
			}
			c.events <- e
			e = curlEvent{}
		}
	}()
	if e := c.next(); e["retry"] == "" || len(e) != 1 {
		t.Fatalf("%s begins with %v", path, e)
	}
	return c
}

// next is the next event; nil at the end of the stream.
func (c *curl) next() curlEvent {
	c.t.Helper()
	select {
	case e := <-c.events:
		return e
	case <-time.After(streamTimeout):
		c.t.Fatalf("nothing came: %s", &c.stderr)
		return nil
	}
}

// expect reads statuses with the texts and returns the id of the last.
func (c *curl) expect(texts ...string) (id string) {
	c.t.Helper()
	for _, text := range texts {
		e := c.next()
		if e["event"] != "status" || e.text() != text || e["id"] == "" {
			c.t.Fatalf("got %v, want the status %q", e, text)
		}
		id = e["id"]
	}
	return id
}

// expectEnd reads the last event, and waits for the end of curl.
func (c *curl) expectEnd(errCode int, text string) {
	c.t.Helper()
	e := c.next()
	if e["event"] != "error" || !strings.Contains(e["data"], fmt.Sprintf(`"err_code":%d,`, errCode)) || !strings.Contains(e["data"], text) {
		c.t.Fatalf("the last event is %v, want %d %q", e, errCode, text)
	}
	if more := c.next(); more != nil {
		c.t.Fatalf("behind the end came %v", more)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("curl: %v %s", err, &c.stderr)
	}
}

// refusedHTTP asks for what is refused, and returns the answer.
func refusedHTTP(t *testing.T, s *statuswire, path, token string, code, errCode int) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.HTTP+"/v1/conversations/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct {
		Error struct {
			Code        int
			ErrCode     int `json:"err_code"`
			Description string
		}
	}
	if res.StatusCode == http.StatusOK {
		t.Fatalf("%s is not refused", path)
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || res.StatusCode != code || body.Error.Code != code || body.Error.ErrCode != errCode || body.Error.Description == "" {
		t.Fatalf("%s: %s %+v %v, want %d and %d", path, res.Status, body, err, code, errCode)
	}
	return res
}

func publishTexts(t *testing.T, s *statuswire, subject string, texts ...string) {
	t.Helper()
	js := serviceJetStream(t, s)
	for _, text := range texts {
		if _, err := js.Publish(subject, fmt.Appendf(nil, `{"text":%q}`, text)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCurlFollowsOverRestarts(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	token := s.run(t, "token", "--user", "alice")
	c := startCurl(t, s, "c1/events", token)
	publishTexts(t, s, "status.c1.engine", "1", "2")
	publishTexts(t, s, "status.c1.tool", "3")
	c.expect("1", "2")
	if err := c.cmd.Process.Kill(); err != nil { // cut: "3" may be on its way
		t.Fatal(err)
	}
	c = startCurl(t, s, "c1/events?last_event_id=2", token)
	id := c.expect("3")

	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	c.expectEnd(20030, "server is stopping: reconnect")
	s = startStatuswireIn(t, s.DataDir)
	publishTexts(t, s, "status.c1.engine", "4")
	c = startCurl(t, s, "c1/events", token, "-H", "Last-Event-ID: "+id)
	publishTexts(t, s, "status.c1.info", "5")
	id = c.expect("4", "5")

	s.Kill()
	for c.next() != nil { // whatever curl makes of it
	}
	s = startStatuswireIn(t, s.DataDir)
	publishTexts(t, s, "status.c1.tool", "6")
	startCurl(t, s, "c1/events?categories=tool,info", token, "-H", "Last-Event-ID: "+id).expect("6")

	out, err := exec.Command("curl", "-sS", "-H", "Authorization: Bearer "+token, s.HTTP+"/v1/conversations/c1/history?categories=tool").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	_, epoch, _ := strings.Cut(id, "-")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], `{"seq":3,"subject":"status.c1.tool","time":"`) || !strings.HasPrefix(lines[1], `{"seq":6,`) ||
		lines[2] != `{"end":{"count":2,"next_after":6,"epoch":"`+epoch+`","more":false}}` {
		t.Errorf("the history is\n%s", out)
	}
}

func TestStreamsAreLimitedKickedListedAndAudited(t *testing.T) {
	s := startStatuswire(t, "--config", writeConfig(t, `
limits {
  categories: 3
  subscription_changes: 5
  connections_per_user: 2
  failed_logins: 2
}`))
	s.run(t, "conversation", "create", "c1", "--owner", "alice", "--member", "bob", "--member", "carol")
	s.run(t, "conversation", "create", "c2", "--owner", "bob")
	l := newLedger()
	token := func(user string) string {
		token := s.run(t, "token", "--user", user)
		l.secrets = append(l.secrets, token)
		return token
	}
	alice, bob := token("alice"), token("bob")
	expect := func(kind, user, limit, subject string, n int) {
		r := auditRecord{Kind: kind, User: user, Limit: limit, Subject: subject, Count: n}
		if user == "" {
			r.Address = "127.0.0.1"
		}
		l.expect(r)
	}

	refusedHTTP(t, s, "c1/events", "", 401, 20201)
	refusedHTTP(t, s, "c1/events", "no.good.token", 401, 20201)
	expired := s.run(t, "token", "--user", "alice", "--ttl", "1s")
	l.secrets = append(l.secrets, expired)
	time.Sleep(2 * time.Second) // the token's life, not a wait for the server
	refusedHTTP(t, s, "c1/history", expired, 401, 20201)
	refusedHTTP(t, s, "c1/events", "another.bad.token", 401, 20201) // the second: none was signed
	if after := refusedHTTP(t, s, "c1/events", "a.third.one", 429, 20206).Header.Get("Retry-After"); after == "" {
		t.Error("no Retry-After")
	}
	refusedHTTP(t, s, "c2/events", alice, 404, 20102) // a good one passes all the same
	expect("denied", "", "", "", 4)
	expect("refused", "alice", "", "status.c2.*", 1)
	expect("limited", "", "failed_logins", "", 1)
	s = restartWithConfig(t, s, `
limits {
  categories: 3
  subscription_changes: 5
  connections_per_user: 2
}`)

	refusedHTTP(t, s, "c2/events", alice, 404, 20102)
	refusedHTTP(t, s, "none/events", alice, 404, 20102)
	refusedHTTP(t, s, "c2/history", alice, 404, 20102)
	expect("refused", "alice", "", "status.c2.*", 1)
	expect("refused", "alice", "", "status.none.*", 1)
	expect("refused", "alice", "", "edge.c2.history", 1)
	refusedHTTP(t, s, "c1/events", alice, 400, 20205) // six categories
	expect("limited", "alice", "categories", "status.c1.*", 1)
	first := startCurl(t, s, "c1/events?categories=engine,tool,info", alice)
	refusedHTTP(t, s, "c1/events?categories=engine,tool,error", alice, 429, 20206)
	expect("limited", "alice", "subscription_changes", "status.c1.*", 1)
	second := startCurl(t, s, "c1/events?categories=engine,error", alice)
	refusedHTTP(t, s, "c1/events?categories=engine", alice, 429, 20206) // the connections come first
	refusedHTTP(t, s, "c1/history", alice, 429, 20206)
	expect("limited", "alice", "connections_per_user", "", 2)
	if list := s.sessions(t, "--user", "alice"); len(list) != 2 || list[0].Lang != "sse" || len(list[0].Subscriptions) != 3 || list[1].Subscriptions[0].Subject != "status.c1.engine" || list[0].SubscriptionChanges != 5 {
		t.Errorf("listed %+v", list)
	}
	if why := s.run(t, "why", "--user", "alice", "--subject", "status.c1.workflow"); !strings.Contains(why, `"alice" has 2`) || !strings.Contains(why, "subscription_changes 5 of 5, grant_changes 1 of 120: subscription_changes is hit") {
		t.Errorf("why says\n%s", why)
	}

	bobs := startCurl(t, s, "c1/events?categories=engine", bob)
	if out := s.run(t, "session", "kick", "--user", "bob", "--reason", "please log in again"); out != "closed the connections of bob (1)" {
		t.Errorf("kick prints %q", out)
	}
	bobs.expectEnd(20207, "please log in again")
	expect("kicked", "bob", "", "", 1)
	bobs = startCurl(t, s, "c1/events?categories=engine", bob)
	publishTexts(t, s, "status.c1.engine", "for all")
	for _, c := range []*curl{first, second, bobs} {
		c.expect("for all")
	}
	begin := time.Now()
	s.run(t, "conversation", "remove", "c1", "--member", "bob")
	bobs.expectEnd(20102, `your access to conversation \"c1\" has ended`)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v", took)
	}
	expect("revoked", "bob", "", "status.c1.engine", 1)
	publishTexts(t, s, "status.c1.engine", "still")
	first.expect("still")

	metrics := metricsText(t, s)
	records := flushedAudit(t, s)
	l.check(t, records)
	l.noSecrets(t, s, metrics, records)
	wantFigures(t, figures(t, metrics), map[string]float64{
		"statuswire_connections":                  2,
		refusals("categories", "false"):           1,
		refusals("subscription_changes", "false"): 1,
		refusals("connections_per_user", "false"): 2,
		refusals("conversation", "false"):         3,
	})
}

// restartWithConfig starts the server anew with another configuration.
func restartWithConfig(t *testing.T, s *statuswire, config string) *statuswire {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return startStatuswireIn(t, s.DataDir, "--config", writeConfig(t, config))
}

func TestASlowStreamIsReset(t *testing.T) {
	s := startStatuswire(t, "--config", writeConfig(t, "limits { queue: 128KB }"))
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.HTTP, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/conversations/c1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", s.run(t, "token", "--user", "alice"))
	quick := startCurl(t, s, "c1/events", s.run(t, "token", "--user", "alice"))
	text := strings.Repeat("x", 60<<10)
	sent := 0
	for deadline := time.Now().Add(30 * time.Second); figures(t, metricsText(t, s))["statuswire_slow_closes_total"] == 0; sent += 10 {
		if time.Now().After(deadline) {
			t.Fatal("it is not closed")
		}
		for range 10 {
			publishTexts(t, s, "status.c1.engine", text)
		}
	}
	for range sent {
		quick.expect(text)
	}
	if list := s.sessions(t); len(list) != 1 {
		t.Errorf("listed %+v", list)
	}
	if _, err := io.Copy(io.Discard, conn); err == nil {
		t.Error("the slow one ended as if all were well")
	}
	slow := 0
	for _, r := range flushedAudit(t, s) {
		if r.Kind == "slow" && r.User == "alice" {
			slow += r.Count
		}
	}
	if slow != 1 {
		t.Errorf("%d records of a slow reader", slow)
	}
}

func TestStreamsCountForPresence(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice", "--member", "bob")
	bob := attend(t, s, "bob")
	token := s.run(t, "token", "--user", "alice")
	one := startCurl(t, s, "c1/events?categories=engine", token)
	startCurl(t, s, "c1/events", token)
	converge(t, "two streams", map[string]int{"alice": 2, "bob": 1}, bob)
	if err := one.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	converge(t, "one stream", map[string]int{"alice": 1, "bob": 1}, bob)
}

// TestEventSourceInChromium runs page/sse: native EventSource with a cookie, from
// the server's own origin, an allowed one and a foreign one.
func TestEventSourceInChromium(t *testing.T) {
	t.Parallel() // it mostly waits
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>an application</title>")
	})
	allowed, foreign := httptest.NewServer(page), httptest.NewServer(page)
	defer allowed.Close()
	defer foreign.Close()
	s := startStatuswire(t, "--config", writeConfig(t, fmt.Sprintf(`
cookie: "app"
allowed_origins: [%q]
limits { subscription_changes: 10000, connections_per_user: 100 }`, allowed.URL)))
	env := append(nodeEnv(t, s), "STATUSWIRE_ALLOWED="+allowed.URL, "STATUSWIRE_FOREIGN="+foreign.URL)
	runNodeTests(t, "page", env, "configured/sse.mjs")
}
