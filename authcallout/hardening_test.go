package authcallout_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Each test here is an attack, or a misfortune that looks like one.

const violation = "-ERR 'Authorization Violation'"

func TestABrowsersTokenIsUselessOnTheTCPPort(t *testing.T) {
	var heard verdicts
	r := start(t, setup{opts: authcallout.Options{OnVerdict: heard.add}})
	good := token(t, "alice", time.Hour)
	for _, field := range []string{"auth_token", "pass"} {
		begun := time.Now()
		if said := r.tcp(t, map[string]string{field: good}); said != violation && said != "closed" {
			t.Errorf("%s: server says %q", field, said)
		}
		if took := time.Since(begun); took > soon {
			t.Errorf("%s: denied after %v, want at once", field, took)
		}
	}
	for _, v := range heard.all() {
		if v.Denial == nil || v.Cause != authcallout.CauseNoLink || v.User != "" {
			t.Errorf("verdict %+v: want no_link, and the token not looked at", v)
		}
	}
}

func TestAGrantIsUselessOnTheTCPPort(t *testing.T) {
	r := start(t, setup{})
	l := r.connect(t, session.Ask{Join: "c1"}, map[string]string{"auth_token": token(t, "alice", time.Hour)})
	if l.said != "PONG" {
		t.Fatalf("server says %q", l.said)
	}
	for _, field := range []string{"jwt", "auth_token", "pass"} {
		if said := r.tcp(t, map[string]string{field: l.jwt}); said != violation && said != "closed" {
			t.Errorf("as %s: server says %q", field, said)
		}
	}
}

func TestAGrantIsUselessAsTheTokenOfAnotherLink(t *testing.T) {
	r := start(t, setup{})
	l := r.connect(t, session.Ask{Join: "c1"}, map[string]string{"auth_token": token(t, "alice", time.Hour)})
	for _, field := range []string{"jwt", "auth_token"} {
		if again := r.connect(t, session.Ask{}, map[string]string{field: l.jwt}); again.said != violation || again.denial == nil || !again.denial.Final {
			t.Errorf("as %s: server says %q, %v", field, again.said, again.denial)
		}
	}
}

func TestALinkWithoutASessionIsDeniedAtOnce(t *testing.T) {
	r := start(t, setup{})
	conn, _, err := r.engine.DialLink(browser)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begun := time.Now()
	said, err := handshake(conn, map[string]string{"auth_token": token(t, "alice", time.Hour)})
	if err != nil || said != violation || time.Since(begun) > soon {
		t.Errorf("server says %q, %v, after %v", said, err, time.Since(begun))
	}
	waitFor(t, "the denial to be counted", func() bool { return r.service.Stats().Denied[authcallout.CauseNoLink] == 1 })
}

func TestTheServerHoldsALinkToItsGrant(t *testing.T) {
	r := start(t, setup{})
	conn, preamble, err := r.engine.DialLink(browser)
	if err != nil {
		t.Fatal(err)
	}
	key, err := linkKey(preamble)
	if err != nil {
		t.Fatal(err)
	}
	sl, err := r.sessions.Open(key, session.Ask{Join: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	defer sl.Close()
	cases := []struct{ command, want string }{
		{"SUB status.c1.* 1", "PONG"},
		{"SUB status.c1.engine 2", "PONG"},
		{"SUB presence.c1 3", "PONG"},
		{"SUB _INBOX.abc.* 4", "PONG"},
		{"SUB status.c2.* 5", "Subscription"},
		{"SUB status.*.* 6", "Subscription"},
		{"SUB status.> 7", "Subscription"},
		{"SUB > 8", "Subscription"},
		{"SUB _INBOX_gateway.> 9", "Subscription"},
		{"SUB $SYS.> 10", "Subscription"},
		{"PUB edge.c1.join 0\r\n", "PONG"},
		{"PUB gateway.token 0\r\n", "PONG"},
		{"PUB edge.c1.join.bob 0\r\n", "Publish"},
		{"PUB edge.c2.join 0\r\n", "Publish"},
		{"PUB status.c1.engine 0\r\n", "Publish"},
		{"PUB submit.c1.engine 0\r\n", "Publish"},
		{"PUB ingest.c1.engine 0\r\n", "Publish"},
		{"PUB $JS.API.DIRECT.GET.STATUS 0\r\n", "Publish"},
		{"PUB admin.conversation.list 0\r\n", "Publish"},
	}
	var commands []string
	for _, c := range cases {
		commands = append(commands, c.command)
	}
	words, err := converse(conn, map[string]string{"auth_token": token(t, "alice", time.Hour)}, commands)
	if err != nil || len(words) != len(cases)+1 || words[0] != "PONG" {
		t.Fatalf("%v, %v", words, err)
	}
	for i, c := range cases {
		got := words[i+1]
		if c.want == "PONG" && got != "PONG" || c.want != "PONG" && !strings.HasPrefix(got, "-ERR 'Permissions Violation for "+c.want+" to") {
			t.Errorf("%q: server says %q, want %s", c.command, got, c.want)
		}
	}
}

// callouts runs a callout service on a server where the test can send requests
// of its own to it, with its own account keys and no server in between.
type callouts struct {
	nc       *nats.Conn
	serverID string
	server   nkeys.KeyPair
	sessions *session.Registry
	service  *authcallout.Service
}

func startCallouts(t testing.TB, xkey nkeys.KeyPair) *callouts {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	issuer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	c := &callouts{nc: nc, sessions: session.NewRegistry()}
	c.server, c.serverID = serverKey(t)
	deps := authcallout.Deps{
		ServerID: func() string { return c.serverID }, Issuer: issuer, XKey: xkey, Sessions: c.sessions,
		Verifier: verifier(t), Directory: conversations{},
	}
	if c.service, err = authcallout.New(nc, deps, authcallout.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := c.service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c.service.Stop) })
	return c
}

// request is what the service's own server would send for client 7.
func (c *callouts) request(t testing.TB) *jwt.AuthorizationRequestClaims {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	req := jwt.NewAuthorizationRequestClaims("AISSUER")
	req.Audience = "nats-authorization-request"
	if req.UserNkey, err = user.PublicKey(); err != nil {
		t.Fatal(err)
	}
	req.Server.ID = c.serverID
	req.ClientInformation.ID = 7
	req.ConnectOptions.Token = token(t, "alice", time.Hour)
	return req
}

// brief is how long a test listens to silence.
const brief = 300 * time.Millisecond

// ask sends the request, signed by kp, and returns the answer: a response, or
// "empty", or "silence" when there is none in time.
func (c *callouts) ask(t *testing.T, req *jwt.AuthorizationRequestClaims, kp nkeys.KeyPair, wait time.Duration) string {
	t.Helper()
	data, err := req.Encode(kp)
	if err != nil {
		t.Fatal(err)
	}
	return c.send(t, nats.NewMsg("$SYS.REQ.USER.AUTH"), []byte(data), wait)
}

func (c *callouts) send(t *testing.T, m *nats.Msg, data []byte, wait time.Duration) string {
	t.Helper()
	m.Data = data
	answer, err := c.nc.RequestMsg(m, wait)
	switch {
	case err != nil:
		return "silence"
	case len(answer.Data) == 0:
		return "empty"
	}
	return string(answer.Data)
}

func TestOnlyRequestsOfTheOwnServerAreAnswered(t *testing.T) {
	c := startCallouts(t, nil)
	link, err := c.sessions.Open(session.Key{ServerID: c.serverID, ClientID: 7}, session.Ask{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	stranger, strangerID := serverKey(t)

	if got := c.ask(t, c.request(t), c.server, soon); got == "silence" || got == "empty" {
		t.Fatalf("a good request: %s", got)
	}
	foreign := c.request(t)
	foreign.Server.ID = strangerID
	if got := c.ask(t, foreign, stranger, brief); got != "silence" {
		t.Errorf("another server's request: %s, want silence", got)
	}
	waitFor(t, "the request to be passed over", func() bool { return c.service.Stats().Foreign == 1 })
	if got := c.ask(t, c.request(t), stranger, soon); got != "empty" {
		t.Errorf("our server's id, signed by another: %s, want an empty denial", got)
	}
	audience := c.request(t)
	audience.Audience = "something-else"
	if got := c.ask(t, audience, c.server, soon); got != "empty" {
		t.Errorf("another audience: %s, want an empty denial", got)
	}
	user := c.request(t)
	user.UserNkey = strangerID
	if got := c.ask(t, user, c.server, soon); got != "empty" {
		t.Errorf("a user key that is none: %s, want an empty denial", got)
	}
	for _, junk := range []string{"", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."} {
		if got := c.send(t, nats.NewMsg("$SYS.REQ.USER.AUTH"), []byte(junk), brief); got != "silence" {
			t.Errorf("%q: %s, want silence", junk, got)
		}
	}
	sealed := nats.NewMsg("$SYS.REQ.USER.AUTH")
	sealed.Header.Set("Nats-Server-Xkey", "XABC")
	if got := c.send(t, sealed, []byte("x"), brief); got != "silence" {
		t.Errorf("an encrypted request without an xkey: %s, want silence", got)
	}
	if got := c.ask(t, c.request(t), c.server, soon); got == "silence" || got == "empty" {
		t.Errorf("a good request after all that: %s", got)
	}
}

func TestWithAnXKeyPlainAndForeignRequestsAreNotAnswered(t *testing.T) {
	xkey, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	c := startCallouts(t, xkey)
	public, err := xkey.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	sealedBy := func(kp nkeys.KeyPair, claimed string, wait time.Duration) string {
		t.Helper()
		req := c.request(t)
		req.Server.XKey = claimed
		data, err := req.Encode(c.server)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := kp.Seal([]byte(data), public)
		if err != nil {
			t.Fatal(err)
		}
		sender, err := kp.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		m := nats.NewMsg("$SYS.REQ.USER.AUTH")
		m.Header.Set("Nats-Server-Xkey", sender)
		return c.send(t, m, sealed, wait)
	}
	own, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	ownPublic, err := own.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ask(t, c.request(t), c.server, brief); got != "silence" {
		t.Errorf("a request that is not encrypted: %s, want silence", got)
	}
	if got := sealedBy(other, ownPublic, soon); got != "empty" {
		t.Errorf("encrypted by somebody else than the server: %s, want an empty denial", got)
	}
	got := sealedBy(own, ownPublic, soon)
	if got == "silence" || got == "empty" || strings.HasPrefix(got, "eyJ") {
		t.Errorf("a good request: %q, want an encrypted answer", got)
	}
	plain, err := own.Open([]byte(got), public)
	if err != nil {
		t.Fatal(err)
	}
	response, err := jwt.DecodeAuthorizationResponseClaims(string(plain))
	if err != nil || response.Error == "" || response.Jwt != "" {
		t.Errorf("response %+v, %v: want a denial, there is no link", response, err)
	}
	// From now on the server's key is known, and others are passed over unread.
	if got := sealedBy(other, ownPublic, brief); got != "silence" {
		t.Errorf("encrypted by somebody else, later: %s, want silence", got)
	}
}

func TestWithAnXKeyBrowsersConnect(t *testing.T) {
	r := start(t, setup{sealed: true})
	if !r.engine.SealsCallouts() {
		t.Fatal("requests are not encrypted")
	}
	l := r.connect(t, session.Ask{Join: "c1"}, map[string]string{"auth_token": token(t, "alice", time.Hour)})
	if l.said != "PONG" || l.denial != nil {
		t.Errorf("server says %q, %v", l.said, l.denial)
	}
	l = r.connect(t, session.Ask{Join: "c3"}, map[string]string{"auth_token": token(t, "alice", time.Hour)})
	if l.said != violation || l.denial == nil || !l.denial.Final {
		t.Errorf("a stranger's: server says %q, %v", l.said, l.denial)
	}
}

func TestTheNativeWebSocketIsClosedUnlessTheOptionOpensIt(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("open %v", open), func(t *testing.T) {
			addr := freeAddress(t)
			var heard verdicts
			start(t, setup{
				native: addr,
				opts:   authcallout.Options{NativeWebSocket: open, OnVerdict: heard.add},
			})
			for _, user := range []string{"", "c2", "c1"} {
				option := nats.Token(token(t, "bob", time.Hour))
				if user != "" {
					option = nats.UserInfo(user, token(t, "bob", time.Hour))
				}
				nc, err := nats.Connect("ws://"+addr, option, nats.MaxReconnects(0), nats.Timeout(soon))
				if err == nil {
					nc.Close()
				}
				if want := open && user != "c1"; (err == nil) != want {
					t.Errorf("user %q: %v, want in: %v", user, err, want)
				}
			}
			if list := heard.all(); open && fmt.Sprint(list[0].Conversations, list[1].Conversations) != "[c2 c3] [c2]" {
				t.Errorf("granted %v and %v, want all of theirs, then the named one", list[0].Conversations, list[1].Conversations)
			}
		})
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestOnTheNativeListenerNobodyHearsAnothersInbox(t *testing.T) {
	// Ids of users are the application's to choose: also those of our own parts.
	for _, user := range []status.UserID{"bob", "edge", "operator", "key", "user"} {
		t.Run(string(user), func(t *testing.T) { testOwnInbox(t, user) })
	}
}

func testOwnInbox(t *testing.T, user status.UserID) {
	addr := freeAddress(t)
	start(t, setup{native: addr, opts: authcallout.Options{NativeWebSocket: true}})
	refused := make(chan error, 10)
	nc, err := nats.Connect("ws://"+addr, nats.Token(token(t, user, time.Hour)), nats.Timeout(soon),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, subject := range []string{
		"_INBOX.>", "_INBOX_alice.>", "_INBOX_edge.>", "_INBOX_operator.>", "_INBOX_key.>", "_INBOX_user.>", "_INBOX_user.alice.>",
		"_INBOX_user." + string(user) + ".1",
	} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		var got error
		select {
		case got = <-refused:
		case <-time.After(200 * time.Millisecond): // nothing is refused
		}
		if want := subject != "_INBOX_user."+string(user)+".1"; (got != nil) != want {
			t.Errorf("%s: %v, want refused: %v", subject, got, want)
		}
	}
}

// Behind the gateway a browser's queue group gets a name that is browsers' alone; on the
// server's own listener it has to bring one.
func TestOnTheNativeListenerNobodyJoinsAGroupOfServices(t *testing.T) {
	addr := freeAddress(t)
	start(t, setup{native: addr, opts: authcallout.Options{NativeWebSocket: true}})
	nc, err := nats.Connect("ws://"+addr, nats.Token(token(t, "bob", time.Hour)), nats.Timeout(soon))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, subject := range []string{"status.c2.*", "status.c2.engine", "presence.c2"} {
		for queue, allowed := range map[string]bool{"": true, "browsers.tabs": true, "indexer": false, "browsers": false} {
			before := nc.LastError()
			if _, err := nc.QueueSubscribeSync(subject, queue); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil { // a refusal comes before the PONG
				t.Fatal(err)
			}
			if got := nc.LastError() == before; got != allowed {
				t.Errorf("%s in group %q: allowed is %v, want %v", subject, queue, got, allowed)
			}
		}
	}
}
