//go:build e2e

package test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	shipped "github.com/statuswire/statuswire"
)

// authorizer is an authorization service of a team's own, as docs/authorization.md
// tells: it knows nothing of Statuswire but nats-server's auth callout. Its tokens are
// names of sessions, its rule is its own.
type authorizer struct {
	nc             *nats.Conn
	user, issuer   nkeys.KeyPair // its connection's, and what it signs with
	natsConf, conf string        // the files that name it

	mu       sync.Mutex // guards what follows
	lifetime time.Duration
	silent   bool
	change   func(*jwt.UserClaims)
	asked    []string // CONNECT's user of each request
}

// newAuthorizer writes the configuration that has it decide.
func newAuthorizer(t *testing.T, settings string) *authorizer {
	t.Helper()
	a := &authorizer{lifetime: time.Hour, change: func(*jwt.UserClaims) {}}
	var err error
	if a.user, err = nkeys.CreateUser(); err != nil {
		t.Fatal(err)
	}
	if a.issuer, err = nkeys.CreateAccount(); err != nil {
		t.Fatal(err)
	}
	natsConf := string(shipped.DefaultNATSConfig())
	for _, change := range [][2]string{
		{`subscribe: { allow: ["$SYS.REQ.USER.AUTH"] }
          allow_responses: { max: 1, expires: "1m" } } }`,
			`subscribe: { allow: ["$SYS.REQ.USER.AUTH", "$SYS._INBOX.>"] }
          allow_responses: { max: 1, expires: "1m" } } }
      { nkey: ` + publicKey(t, a.user) + `, permissions: {
          subscribe: { allow: ["$SYS.REQ.USER.AUTH"] }
          allow_responses: { max: 1, expires: "1m" } } }`},
		{"issuer: $ISSUER_KEY", "issuer: " + publicKey(t, a.issuer)},
		{"$SERVICE_KEY, $OPERATOR_KEY, $VIEWER_KEY, $SYSTEM_KEY\n", "$SERVICE_KEY, $OPERATOR_KEY, $VIEWER_KEY, $SYSTEM_KEY, " + publicKey(t, a.user) + "\n"},
	} {
		if !strings.Contains(natsConf, change[0]) {
			t.Fatalf("nats.conf has no %q", change[0])
		}
		natsConf = strings.Replace(natsConf, change[0], change[1], 1)
	}
	dir := t.TempDir()
	a.natsConf, a.conf = filepath.Join(dir, "nats.conf"), filepath.Join(dir, "statuswire.conf")
	for file, text := range map[string]string{a.natsConf: natsConf, a.conf: "callout { external: true }\n" + settings} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func publicKey(t *testing.T, kp nkeys.KeyPair) string {
	t.Helper()
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// serve connects it as a service of another process would.
func (a *authorizer) serve(t *testing.T, s *statuswire) {
	t.Helper()
	var err error
	if a.nc, err = nats.Connect(s.NATS, nats.Nkey(publicKey(t, a.user), a.user.Sign)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.nc.Close)
	if _, err := a.nc.Subscribe("$SYS.REQ.USER.AUTH", a.answer); err != nil {
		t.Fatal(err)
	}
	if err := a.nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// answer is all of the service: who, what, and the signatures.
func (a *authorizer) answer(m *nats.Msg) {
	req, err := jwt.DecodeAuthorizationRequestClaims(string(m.Data))
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, req.ConnectOptions.Username)
	if a.silent {
		return
	}
	resp := jwt.NewAuthorizationResponseClaims(req.UserNkey)
	resp.Audience = req.Server.ID
	if user, ok := strings.CutPrefix(req.ConnectOptions.Token, "session-of-"); ok {
		resp.Jwt, err = a.grant(req, user)
	} else {
		resp.Error = "there is no session 4711 in db.internal"
	}
	if err != nil {
		return
	}
	if signed, err := resp.Encode(a.issuer); err == nil {
		_ = m.Respond([]byte(signed))
	}
}

func (a *authorizer) grant(req *jwt.AuthorizationRequestClaims, user string) (string, error) {
	c := jwt.NewUserClaims(req.UserNkey)
	c.Name, c.Audience, c.Expires = user, "STATUS", time.Now().Add(a.lifetime).Unix()
	c.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeInProcess}
	c.Limits.Subs = 4
	c.Tags = jwt.TagList{"categories:2"}
	c.Sub.Allow = jwt.StringList{"_INBOX.>"}
	c.Pub.Allow = jwt.StringList{"gateway.subscriptions", "gateway.token"}
	for id := range strings.SplitSeq(req.ConnectOptions.Username, ",") {
		if id == "" || strings.HasPrefix(id, "secret") { // the rule
			continue
		}
		c.Sub.Allow.Add("status."+id+".*", "presence."+id)
		c.Pub.Allow.Add("edge."+id+".join", "edge."+id+".history", "edge."+id+".presence")
	}
	a.change(c)
	return c.Encode(a.issuer)
}

func (a *authorizer) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *authorizer) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// startExternal starts a server whose logins the authorizer decides.
func startExternal(t *testing.T, settings string) (*statuswire, *authorizer) {
	t.Helper()
	a := newAuthorizer(t, settings)
	s := startStatuswire(t, "--config", a.conf, "--nats", a.natsConf)
	a.serve(t, s)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	s.run(t, "conversation", "create", "c2", "--owner", "alice")
	s.run(t, "conversation", "create", "secret1", "--owner", "alice")
	return s, a
}

// denied logs in and returns the close frame's code, and all that was said before.
func denied(t *testing.T, s *statuswire, connect string) (code int, said string) {
	t.Helper()
	b := openBrowser(t, s)
	b.send(t, "CONNECT "+connect+"\r\nPING\r\n")
	return b.ended(t)
}

// ended reads to the end.
func (b *browser) ended(t *testing.T) (code int, said string) {
	t.Helper()
	if err := b.conn.SetReadDeadline(time.Now().Add(browserTimeout)); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := b.lines.ReadString('\n')
		said += line
		var closed wsutil.ClosedError
		switch {
		case errors.As(err, &closed):
			return int(closed.Code), said + closed.Reason
		case errors.Is(err, ws.ErrProtocolStatusCodeUnknown): // 1013, which gobwas/ws does not know
			return 1013, said
		}
		if err != nil {
			t.Fatalf("no close frame after %q: %v", said, err)
		}
	}
}

func TestAServiceOfOnesOwnDecidesLogins(t *testing.T) {
	for _, links := range []string{"close", "keep"} {
		t.Run("links: "+links, func(t *testing.T) {
			s, a := startExternal(t, "links: "+links+"\n")
			b := openBrowser(t, s)
			b.logIn(t, "session-of-alice", map[string]any{"user": "c1"})
			for _, c := range []struct{ subject, want string }{
				{"status.c1.engine", ""},
				{"status.secret1.engine", `conversation "secret1" is not found or not yours`},
				{"status.c3.engine", `conversation "c3" is not found or not yours`},
				{"status.*.engine", "Permissions Violation"},
				{"status.c2.engine", ""}, // asked for when it is needed
				{"status.c1.tool", "2 categories of 2"},
			} {
				if got := b.ask(t, "SUB "+c.subject+" "+c.subject); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
					t.Errorf("SUB %s: %q, want %q", c.subject, got, c.want)
				}
			}
			publishTexts(t, s, "status.c1.engine", "hello")
			for line := b.line(t); !strings.Contains(line, "status.c1.engine"); line = b.line(t) {
				if strings.HasPrefix(line, "-ERR") {
					t.Fatal(line)
				}
			}
			a.mu.Lock()
			if first := a.asked[0]; first != "c1" || !slices.Contains(a.asked, "c1,c2") && !slices.Contains(a.asked, "c2,c1") {
				t.Errorf("it is asked about %q", a.asked)
			}
			a.mu.Unlock()
			if x := explain(t, s, "--user", "alice", "--subject", "status.c2.tool"); x.Allowed || !strings.Contains(x.Answer, "2 categories of 2") {
				t.Errorf("explained as %+v", x)
			}
			out, err := exec.Command(s.Bin, "session", "kick", "--user", "alice", "--data", s.DataDir).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if code, said := b.ended(t); code != 1001 {
				t.Errorf("kicked, it ends with %d after %q", code, said)
			}
		})
	}
}

func TestWhatAServiceOfOnesOwnRefusesIsRefused(t *testing.T) {
	s, a := startExternal(t, "limits { failed_logins: 2 }\n")
	for _, c := range []struct {
		name, connect string
		change        func(*jwt.UserClaims)
		code          int
		want          string
	}{
		{"a conversation that it leaves out", `{"auth_token":"session-of-alice","user":"secret1"}`, nil, 1008, `conversation "secret1" is not found or not yours`},
		{"a grant for the NATS port as well", `{"auth_token":"session-of-alice"}`, func(c *jwt.UserClaims) { c.AllowedConnectionTypes.Add("STANDARD") }, 1013, ""},
		{"a grant in another account", `{"auth_token":"session-of-alice"}`, func(c *jwt.UserClaims) { c.Audience = "OPS" }, 1013, ""},
		{"a grant of another connection", `{"auth_token":"session-of-alice"}`, func(c *jwt.UserClaims) { c.Subject = publicKey(t, a.user) }, 1013, ""},
		{"a session that it does not know", `{"auth_token":"letmein"}`, nil, 1008, "Authorization Violation: the authorization service refused this login"},
		{"and another one", `{"auth_token":"letmein2"}`, nil, 1008, "refused this login"},
		{"the address has to wait then", `{"auth_token":"session-of-alice"}`, nil, 1013, ""},
	} {
		a.set(func() {
			a.change = func(*jwt.UserClaims) {}
			if c.change != nil {
				a.change = c.change
			}
		})
		code, said := denied(t, s, c.connect)
		if code != c.code || !strings.Contains(said, c.want) || strings.Contains(said, "db.internal") {
			t.Errorf("%s: %d %q, want %d %q", c.name, code, said, c.code, c.want)
		}
	}
}

func TestAGrantOfAServiceOfOnesOwnRenewsAndEnds(t *testing.T) {
	s, a := startExternal(t, "")
	a.set(func() { a.lifetime = 11 * time.Second })
	b := openBrowser(t, s)
	b.logIn(t, "session-of-alice", map[string]any{"user": "c1"})
	before := a.count()
	for deadline := time.Now().Add(browserTimeout); a.count() == before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not asked again before the end")
		}
	}
	if got := b.ask(t, "SUB status.c1.engine 1"); got != "" {
		t.Errorf("renewed, but %s", got)
	}
	a.set(func() { a.lifetime = 2 * time.Second })
	short := openBrowser(t, s)
	short.logIn(t, "session-of-alice-2", nil)
	if code, said := short.ended(t); code != 1000 || !strings.Contains(said, "expired") {
		t.Errorf("at its end: %d %q", code, said)
	}
	// One that says nothing refuses nobody for good.
	a.set(func() { a.silent = true })
	if code, said := denied(t, s, `{"auth_token":"session-of-alice-3"}`); code != 1013 || strings.Contains(said, "-ERR") {
		t.Errorf("a silent service: %d %q", code, said)
	}
}

func TestWhatIsMissingForAServiceOfOnesOwnIsTold(t *testing.T) {
	a := newAuthorizer(t, "")
	check := func() string {
		out, _ := exec.Command(binary(t), "check", "--config", a.conf, "--nats", a.natsConf).CombinedOutput()
		return string(out)
	}
	if got := check(); strings.Contains(got, "nats.conf:") {
		t.Fatalf("as it should be: %s", got)
	}
	good, err := os.ReadFile(a.natsConf)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"answers that we do not hear", `, "$SYS._INBOX.>"`, "", `must be allowed to subscribe to "$SYS._INBOX.>"`},
		{"answers that we cannot read", "account: AUTH\n", "account: AUTH, xkey: $SEAL_KEY\n", "must not be encrypted"},
		{"nobody who answers", "{ nkey: " + publicKey(t, a.user) + ", permissions: {\n          subscribe: { allow: [\"$SYS.REQ.USER.AUTH\"] }\n          allow_responses: { max: 1, expires: \"1m\" } } }", "", "needs a user for the service"},
	} {
		if err := os.WriteFile(a.natsConf, []byte(strings.Replace(string(good), c.from, c.to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := check(); !strings.Contains(got, c.want) {
			t.Errorf("%s: check says %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNamedKeysAreNotToBeHadWithAServiceOfOnesOwn(t *testing.T) {
	s, _ := startExternal(t, "")
	out, err := exec.Command(s.Bin, "key", "create", "--role", "service", "shop", "--data", s.DataDir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "callout { external: true }") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = exec.Command(s.Bin, "why", "--user", "alice", "--subject", "status.c1.engine", "--data", s.DataDir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "only the authorization service can say") {
		t.Errorf("%v: %s", err, out)
	}
}
