package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/session"
)

func TestInfoTellsNothingOfTheServerInside(t *testing.T) {
	r := newRig(t, gateway.Options{})
	conn, br, _, err := ws.Dialer{}.Dial(t.Context(), r.url)
	must(t, err)
	defer conn.Close()
	b := &browser{t: t, conn: conn, in: br}
	if br == nil {
		b.in = newReader(conn)
	}
	info := b.expect("INFO ")
	for _, leak := range []string{r.engine.ServerID(), "xkey", "connect_urls", "client_id", "client_ip", "nonce", "jetstream"} {
		if strings.Contains(info, leak) {
			t.Errorf("INFO has %q: %s", leak, info)
		}
	}
}

func TestConnectIsGrantedAndTheCalloutSeesTheBrowsersAddress(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.login("alice")
	r.callout.set(func(c *callout) {
		if len(c.hosts) != 1 || c.hosts[0] != "127.0.0.1" {
			t.Errorf("hosts %q", c.hosts)
		}
	})
	// After the verdict no link is left.
	if st := r.gateway.Stats(); st.Verdicts != 1 || r.links.Stats().Kept != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestTheSameTokenInThreeSocketsCostsOneCallout(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	a, b, c := r.login("alice"), r.login("alice"), r.login("alice")
	if got := r.callout.count(); got != 1 {
		t.Fatalf("%d callouts", got)
	}
	a.sub("status.c1.engine", "1") // one more: the join
	b.sub("status.c1.engine", "1")
	c.sub("status.c1.*", "1")
	if got := r.callout.count(); got != 2 {
		t.Fatalf("%d callouts after the joins", got)
	}
	// A reload finds the grant still there.
	_ = a.conn.Close()
	_ = b.conn.Close()
	_ = c.conn.Close()
	eventually(t, "the sockets are gone", func() bool { return r.gateway.Stats().Sockets == 0 })
	r.login("alice").sub("status.c1.engine", "1")
	if got := r.callout.count(); got != 2 {
		t.Fatalf("%d callouts after the reload", got)
	}
	r.login("bob")
	if got := r.callout.count(); got != 3 {
		t.Fatalf("%d callouts after another user", got)
	}
}

func TestSocketsThatComeAtOnceWithOneTokenCostOneCallout(t *testing.T) {
	r := newRig(t, gateway.Options{})
	hold := make(chan struct{})
	r.callout.set(func(c *callout) { c.hold = hold })
	var all []*browser
	for range 10 {
		b := r.dial()
		b.send(`CONNECT {"auth_token":"alice"}`, "PING")
		all = append(all, b)
	}
	eventually(t, "a callout", func() bool { return r.callout.count() == 1 })
	close(hold)
	for _, b := range all {
		b.expect("PONG")
	}
	if got := r.callout.count(); got != 1 {
		t.Fatalf("%d callouts", got)
	}
}

func TestDenials(t *testing.T) {
	final := &session.Denial{Reason: "token expired: get a fresh one", Final: true}
	passing := &session.Denial{Reason: "directory down"}
	long := strings.Repeat("x", 5000)
	tests := []struct {
		name  string
		deny  *session.Denial
		lines []string
		code  ws.StatusCode
		err   string // the -ERR; "" for none: the client comes back
	}{
		{"a final denial says why", final, []string{`CONNECT {"auth_token":"alice"}`}, 1008, "-ERR 'Authorization Violation: token expired: get a fresh one'"},
		{"a passing one is a plain close", passing, []string{`CONNECT {"auth_token":"alice"}`}, 1013, ""},
		{"no token", nil, []string{`CONNECT {}`}, 1008, "-ERR 'Authorization Violation: no token"},
		{"no JSON", nil, []string{`CONNECT {`}, 1008, "-ERR 'Authorization Violation: CONNECT is not valid JSON'"},
		{"something before CONNECT", nil, []string{`PING`}, 1008, "-ERR 'Authorization Violation: CONNECT must come first'"},
		{"a second CONNECT", nil, []string{`CONNECT {"auth_token":"alice"}`, `CONNECT {"auth_token":"bob"}`}, 1008, "-ERR 'Authorization Violation: a connection is authenticated once"},
		{"a bad conversation in user", nil, []string{`CONNECT {"auth_token":"alice","user":"a.b"}`}, 1008, "-ERR 'Authorization Violation: bad conversation id"},
		{"a stranger's conversation in user", nil, []string{`CONNECT {"auth_token":"alice","user":"c9"}`}, 1008, "-ERR 'Authorization Violation: conversation \"c9\" is not found or not yours'"},
		{"a control line that is too long", nil, []string{`CONNECT {"auth_token":"` + long + `"}`}, 1008, "-ERR 'Authorization Violation: token too long: CONNECT may have at most 4096 bytes with it'"},
		{"garbage", nil, []string{"GET / HTTP/1.1"}, 1008, "-ERR 'Unknown Protocol Operation"},
	}
	r := newRig(t, gateway.Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r.callout.set(func(c *callout) { c.deny = func(string) *session.Denial { return tt.deny } })
			b := r.dial()
			b.t = t
			b.send(tt.lines...)
			errs := b.expectClosed(tt.code)
			if tt.err == "" && len(errs) > 0 || tt.err != "" && (len(errs) != 1 || !strings.HasPrefix(errs[0], tt.err)) {
				t.Fatalf("got %q, want %q", errs, tt.err)
			}
		})
	}
	eventually(t, "nothing is left", func() bool { st := r.gateway.Stats(); return st.Sockets == 0 })
}

func TestAControlLineThatIsTooLongLaterClosesWithTheReason(t *testing.T) {
	r := newRig(t, gateway.Options{})
	b := r.login("alice")
	b.send("SUB status." + strings.Repeat("x", 5000) + " 1")
	errs := b.expectClosed(1009)
	if len(errs) != 1 || errs[0] != "-ERR 'maximum control line exceeded: at most 4096 bytes'" {
		t.Fatalf("got %q", errs)
	}
}

func TestATokenOf3500BytesWorks(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.login("alice/" + strings.Repeat("x", 3500))
	if strings.Contains(r.log.String(), "xxxx") {
		t.Fatal("the token is in the log")
	}
}

func TestACookieMayCarryTheToken(t *testing.T) {
	r := newRig(t, gateway.Options{TokenCookie: "session"})
	conn, br, _, err := ws.Dialer{Header: ws.HandshakeHeaderString("Cookie: a=b; session=alice\r\n")}.Dial(t.Context(), r.url)
	must(t, err)
	defer conn.Close()
	b := &browser{t: t, conn: conn, in: br}
	if br == nil {
		b.in = newReader(conn)
	}
	b.expect("INFO")
	b.send("CONNECT {}", "PING")
	b.expect("PONG")
}

func TestWhatFollowsConnectWaitsForTheVerdict(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	hold := make(chan struct{})
	r.callout.set(func(c *callout) { c.hold = hold })
	b := r.dial()
	b.send(`CONNECT {"auth_token":"alice","user":"c1"}`, "SUB status.c1.engine 1", "PING")
	eventually(t, "the callout", func() bool { return r.callout.count() == 1 })
	close(hold)
	b.expect("PONG")
	r.store("c1", "engine", "hello")
	if got := b.expectMsg("status.c1.engine 1 "); !strings.HasSuffix(got, `{"text":"hello"}`) {
		t.Fatalf("got %q", got)
	}
	if got := r.callout.count(); got != 1 {
		t.Fatalf("%d callouts: the conversation in CONNECT user needs no second", got)
	}
}

func TestASocketWithoutConnectIsClosed(t *testing.T) {
	r := newRig(t, gateway.Options{ConnectTimeout: 50 * time.Millisecond})
	r.dial().expectClosed(1013)
}

func TestVerboseIsConfirmed(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.answerJoin()
	b := r.dial()
	b.send(`CONNECT {"auth_token":"alice","verbose":true}`)
	b.expect("+OK")
	b.send("SUB status.c1.engine 1")
	b.expect("+OK")
	b.send("UNSUB 1")
	b.expect("+OK")
	b.send("PUB edge.c1.join 0", "")
	b.expect("+OK")
	b.send("SUB status.c9.engine 2")
	b.expect("-ERR")
	b.send("PING")
	b.expect("PONG")
}

func TestPedanticChecksTheSubject(t *testing.T) {
	r := newRig(t, gateway.Options{})
	b := r.dial()
	b.send(`CONNECT {"auth_token":"alice","pedantic":true}`, "PUB edge.*.join 0", "", "PING")
	b.expect("-ERR 'Invalid Publish Subject'")
	b.expect("-ERR 'Permissions Violation for Publish")
	b.expect("PONG")
}
