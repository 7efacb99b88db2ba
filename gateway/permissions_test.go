package gateway_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/statuswire/statuswire/gateway"
)

// grants are the permission lists of the table below.
func grants() map[string]jwt.Permissions {
	return map[string]jwt.Permissions{
		"browser": { // what our callout gives
			Sub: jwt.Permission{Allow: []string{"_INBOX.>", "status.c1.*", "presence.c1", "status.c2.*", "presence.c2"}},
			Pub: jwt.Permission{Allow: []string{
				"edge.c1.join", "edge.c1.presence", "edge.c1.history", "edge.c2.join", "edge.c2.presence", "edge.c2.history",
				"gateway.token", "gateway.subscriptions",
			}},
		},
		"stranger": {
			Sub: jwt.Permission{Allow: []string{"_INBOX.>"}},
			Pub: jwt.Permission{Allow: []string{"gateway.token"}},
		},
		"literal": {
			Sub: jwt.Permission{Allow: []string{"_INBOX.me.>", "status.c1.engine", "status.c1.tool"}},
			Pub: jwt.Permission{Allow: []string{"edge.c1.*"}, Deny: []string{"edge.c1.history"}},
		},
		"deny": {
			Sub: jwt.Permission{Allow: []string{"status.c1.*", "status.c2.>"}, Deny: []string{"status.c1.error", "status.c2.error", "status.c2.tool q"}},
			Pub: jwt.Permission{Allow: []string{"edge.>"}, Deny: []string{"edge.c2.>"}},
		},
		"queues": {
			Sub: jwt.Permission{Allow: []string{"status.c1.engine q1", "status.c1.tool", "status.c1.tool q1", "status.c1.info workers.*"}},
			Pub: jwt.Permission{Allow: []string{"edge.c1.join"}},
		},
	}
}

// operations lists, for each grant, what is tried with it; SUB without its sid,
// PUB without its size.
func operations() map[string][]string {
	return map[string][]string{
		"browser": {
			"SUB status.c1.engine", "SUB status.c1.*", "SUB status.c2.tool", "SUB presence.c1", "SUB presence.c2",
			"SUB status.c1.engine q", "SUB status.c1.* q", "SUB status.c1.engine _sys_",
			"SUB _INBOX.>", "SUB _INBOX.someone.*", "SUB _INBOX.me.1", "SUB _INBOX", "SUB _INBOX_edge.>",
			"SUB status.c3.engine", "SUB status.c3.*", "SUB presence.c3", "SUB presence.*",
			"SUB status.*.engine", "SUB status.*.*", "SUB status.>", "SUB *.c1.engine", "SUB >", "SUB *", "SUB *.*.*",
			"SUB status.c1", "SUB status.c1.engine.x", "SUB status.C1.engine",
			"SUB $SYS.>", "SUB $JS.>", "SUB $JS.API.>", "SUB $KV.directory.>", "SUB $SRV.>",
			"SUB submit.c1.engine", "SUB submit.*.*", "SUB ingest.c1.engine", "SUB admin.>", "SUB edge.c1.join", "SUB audit.>",
			"SUB status..engine", "SUB .status.c1.engine", "SUB status.c1.engine.", "SUB .", "SUB st>tus.c1.engine",
			"PUB edge.c1.join", "PUB edge.c2.join", "PUB gateway.token",
			"PUB edge.c3.join", "PUB edge.c1.history", "PUB edge.c1.flow", "PUB edge.c3.history", "PUB edge.c1.join.alice", "PUB edge.*.join", "PUB edge.>",
			"PUB status.c1.engine", "PUB submit.c1.engine", "PUB ingest.c1.engine", "PUB presence.c1",
			"PUB admin.conversation.delete", "PUB $JS.API.STREAM.PURGE.STATUS", "PUB $SYS.REQ.USER.INFO", "PUB $SYS.REQ.SERVER.PING",
			"PUB _INBOX.someone.1", "PUB edge..join", "PUB .", "PUB gateway", "PUB gateway.other", "PUB $KV.directory.c1",
		},
		"stranger": {
			"SUB status.c1.engine", "SUB status.c1.*", "SUB presence.c1", "SUB _INBOX.x", "SUB status.c1.engine q",
			"PUB edge.c1.join", "PUB status.c1.engine", "PUB gateway.token",
		},
		"literal": {
			"SUB status.c1.engine", "SUB status.c1.tool", "SUB status.c1.info", "SUB status.c1.*", "SUB status.*.engine",
			"SUB status.c1.engine q", "SUB _INBOX.me.1", "SUB _INBOX.me.>", "SUB _INBOX.you.1", "SUB _INBOX.*.1",
			"PUB edge.c1.join", "PUB edge.c1.history", "PUB edge.c1", "PUB edge.c1.join.x",
		},
		"deny": {
			"SUB status.c1.engine", "SUB status.c1.error", "SUB status.c1.*", "SUB status.c2.error", "SUB status.c2.engine",
			"SUB status.c2.tool", "SUB status.c2.tool q", "SUB status.c2.tool other", "SUB status.c2.*",
			"PUB edge.c1.join", "PUB edge.c2.join",
		},
		"queues": {
			"SUB status.c1.engine", "SUB status.c1.engine q1", "SUB status.c1.engine q2",
			"SUB status.c1.tool", "SUB status.c1.tool q1", "SUB status.c1.tool q2",
			"SUB status.c1.info", "SUB status.c1.info workers.a", "SUB status.c1.info workers", "SUB status.c1.info workers.a.b",
		},
	}
}

// TestTheGatewayDecidesAsAPlainServerDoes tries each operation with the same
// permissions through the gateway and on a nats-server over TCP.
func TestTheGatewayDecidesAsAPlainServerDoes(t *testing.T) {
	r := newRig(t, gateway.Options{})
	plain := newPlainServer(t)
	tried := 0
	for name, ops := range operations() {
		perms := grants()[name]
		r.callout.set(func(c *callout) {
			c.grant = func(_ string, claims *jwt.UserClaims) {
				claims.Permissions = perms
				claims.Subs = -1
			}
		})
		b := r.login("alice/" + name)
		p := plain.login(t, name)
		for i, op := range ops {
			tried++
			t.Run(name+" "+op, func(t *testing.T) {
				b.t = t
				line := fmt.Sprintf("%s %d", op, i)
				if strings.HasPrefix(op, "PUB") {
					line = op + " 0\r\n"
				}
				b.send(line, "PING")
				got := verdict(func() string { return b.line() })
				want := verdict(p.try(t, line))
				if got != want {
					t.Fatalf("the gateway says %q, nats-server %q", got, want)
				}
			})
		}
	}
	if tried < 60 {
		t.Fatalf("only %d cases", tried)
	}
	t.Logf("%d cases", tried)
}

// verdict reads up to the PONG: "yes", or the first words of the refusal. The
// gateway may add a reason behind a colon.
func verdict(next func() string) string {
	said := "yes"
	for {
		line := next()
		switch {
		case line == "PONG":
			return said
		case line == "":
			return "closed"
		case strings.HasPrefix(line, "-ERR"):
			said, _, _ = strings.Cut(strings.TrimSuffix(line, "'"), `": `)
			said = strings.TrimSuffix(said, `"`)
		}
	}
}

type plainServer struct{ srv *server.Server }

func newPlainServer(t *testing.T) *plainServer {
	t.Helper()
	var users []*server.User
	for name, p := range grants() {
		users = append(users, &server.User{Username: name, Password: "x", Permissions: &server.Permissions{
			Subscribe: &server.SubjectPermission{Allow: p.Sub.Allow, Deny: p.Sub.Deny},
			Publish:   &server.SubjectPermission{Allow: p.Pub.Allow, Deny: p.Pub.Deny},
		}})
	}
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Users: users})
	must(t, err)
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(patience) {
		t.Fatal("the plain server does not start")
	}
	return &plainServer{srv}
}

type plainClient struct {
	conn net.Conn
	in   *bufio.Reader
}

func (s *plainServer) login(t *testing.T, user string) *plainClient {
	t.Helper()
	conn, err := net.Dial("tcp", s.srv.Addr().String())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	c := &plainClient{conn, bufio.NewReader(conn)}
	next := c.try(t, fmt.Sprintf(`CONNECT {"user":%q,"pass":"x","headers":true,"no_responders":true,"protocol":1}`, user))
	if got := verdict(next); got != "yes" {
		t.Fatalf("the plain server says %q", got)
	}
	return c
}

func (c *plainClient) try(t *testing.T, line string) func() string {
	t.Helper()
	must(t, c.conn.SetDeadline(time.Now().Add(patience)))
	_, err := c.conn.Write([]byte(line + "\r\nPING\r\n"))
	must(t, err)
	return func() string {
		got, _ := c.in.ReadString('\n')
		return strings.TrimSpace(got)
	}
}

func TestADenyListIsHeldAtTheDeliveryToo(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) {
		c.grant = func(_ string, claims *jwt.UserClaims) {
			claims.Sub = jwt.Permission{Allow: []string{"status.c1.*"}, Deny: []string{"status.c1.error"}}
		}
	})
	b := r.login("alice")
	b.sub("status.c1.*", "1")
	r.store("c1", "error", "secret")
	r.store("c1", "engine", "open")
	b.expectMsg("status.c1.engine 1")
	eventually(t, "one is delivered", func() bool { return r.fanout.Stats().Delivered == 1 })
}

func TestEvenAGrantOfEverythingReachesNothingInside(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.callout.set(func(c *callout) {
		c.grant = func(_ string, claims *jwt.UserClaims) { claims.Permissions = jwt.Permissions{} }
	})
	b := r.login("alice")
	for _, subject := range []string{">", "$SYS.>", "$JS.>", "submit.*.*", "ingest.*.*", "admin.>", "_INBOX_edge.>", "edge.>", "edge.c1.join", "audit.>", "$KV.>", "foo"} {
		b.send("SUB "+subject+" 1", "PING")
		b.expect(fmt.Sprintf("-ERR 'Permissions Violation for Subscription to %q: only status, presence and inbox subjects are served here'", subject))
		b.expect("PONG")
	}
	for _, subject := range []string{"submit.c1.engine", "ingest.c1.engine", "status.c1.engine", "$JS.API.STREAM.PURGE.STATUS", "admin.conversation.delete", "$SYS.REQ.USER.INFO", "foo"} {
		b.send("PUB "+subject+" 0", "", "PING")
		b.expect(fmt.Sprintf("-ERR 'Permissions Violation for Publish to %q: ", subject))
		b.expect("PONG")
	}
}
