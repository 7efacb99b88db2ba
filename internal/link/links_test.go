package link_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/link"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// engine is a server of the test's own: it says info, reads CONNECT and PING, and then
// does what the test says.
type engine struct {
	info    string
	then    func(conn net.Conn, connect string)
	dial    error
	hangsUp bool // when it has done that; else it waits for the other side to
}

const id = "NSERVER"

func (engine) ServerID() string { return id }

func (e engine) DialLink(netip.AddrPort) (net.Conn, []byte, error) {
	if e.dial != nil {
		return nil, nil, e.dial
	}
	ours, theirs := net.Pipe()
	go func() { // ends with what the test does, or with the link
		defer theirs.Close()
		in := bufio.NewReader(theirs)
		connect, err := in.ReadString('\n')
		if err != nil {
			return
		}
		ended := make(chan struct{})
		go func() { // ends with the link
			defer close(ended)
			_, _ = io.Copy(io.Discard, in)
		}()
		e.then(theirs, strings.TrimSpace(connect))
		if !e.hangsUp {
			<-ended
		}
	}()
	return ours, []byte(e.info), nil
}

const goodInfo = `INFO {"server_id":"NSERVER","client_id":7,"xkey":"x"}` + "\r\n"

func says(text string) func(net.Conn, string) {
	return func(conn net.Conn, _ string) { fmt.Fprint(conn, text) }
}

var key = session.Key{ServerID: id, ClientID: 7}

// signed is a user JWT, and who has signed it.
func signed(t *testing.T) (string, session.Authority) {
	t.Helper()
	issuer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.Audience = "alice", "STATUS"
	claims.AllowedConnectionTypes.Add(jwt.ConnectionTypeInProcess)
	userJWT, err := claims.Encode(issuer)
	if err != nil {
		t.Fatal(err)
	}
	return userJWT, session.Authority{Issuer: claims.Issuer, Account: "STATUS"}
}

func TestDecideTellsWhatTheServerAndTheCalloutSay(t *testing.T) {
	good, from := signed(t)
	foreign, _ := signed(t)
	denial := &session.Denial{Reason: "token expired", Final: true}
	for _, c := range []struct {
		name    string
		engine  engine
		callout func(*session.Registry)
		want    string // of the error; "" for a grant
	}{
		{"let in", engine{info: goodInfo, then: says("PONG\r\n")}, func(r *session.Registry) { r.Grant(key, good) }, ""},
		{"denied with a reason", engine{info: goodInfo, then: says("-ERR 'Authorization Violation'\r\n")}, func(r *session.Registry) { r.Deny(key, denial) }, "token expired"},
		{"a denial counts whatever the server says", engine{info: goodInfo, then: says("PONG\r\n")}, func(r *session.Registry) { r.Deny(key, denial) }, "token expired"},
		{"a verdict that the server does not follow", engine{info: goodInfo, then: says("-ERR 'maximum connections exceeded'\r\n")}, func(r *session.Registry) { r.Grant(key, good) }, "maximum connections exceeded"},
		{"let in without a verdict", engine{info: goodInfo, then: says("PONG\r\n")}, func(*session.Registry) {}, session.ErrNoVerdict.Reason},
		{"the server hangs up", engine{info: goodInfo, then: says(""), hangsUp: true}, func(r *session.Registry) { r.Grant(key, good) }, "ended without a verdict"},
		{"a line without an end", engine{info: goodInfo, then: says(strings.Repeat("x", 64<<10))}, func(*session.Registry) {}, "a line of more than"},
		{"a verdict that is no JWT", engine{info: goodInfo, then: says("PONG\r\n")}, func(r *session.Registry) { r.Grant(key, "letmein") }, "user JWT"},
		{"a verdict of somebody else", engine{info: goodInfo, then: says("PONG\r\n")}, func(r *session.Registry) { r.Grant(key, foreign) }, "has signed it"},
		{"an INFO that is none", engine{info: "HELLO\r\n", then: says("")}, func(*session.Registry) {}, "no INFO"},
		{"another line than INFO", engine{info: "OFNI" + goodInfo[4:], then: says("")}, func(*session.Registry) {}, "no INFO"},
		{"an INFO without a client id", engine{info: `INFO {"server_id":"NSERVER"}`, then: says("")}, func(*session.Registry) {}, "no INFO"},
		{"an INFO without a server id", engine{info: `INFO {"client_id":7}`, then: says("")}, func(*session.Registry) {}, "no INFO"},
		{"no server", engine{dial: errors.New("it does not run")}, func(*session.Registry) {}, "it does not run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			registry := session.NewRegistry()
			then := c.engine.then
			c.engine.then = func(conn net.Conn, connect string) { c.callout(registry); then(conn, connect) }
			links := link.New(c.engine, registry, link.Options{From: from})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			g, err := links.Decide(ctx, session.Login{Token: "t"}, session.Ask{})
			switch {
			case c.want == "" && (err != nil || g.User != "alice"):
				t.Errorf("got %+v, %v", g, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, open := registry.Ask(key); open {
				t.Error("the link is in the registry still")
			}
			if got := links.Stats(); got.Opened != 1 || got.Kept != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestDecideGivesUpAtItsDeadline(t *testing.T) {
	links := link.New(engine{info: goodInfo, then: says("")}, session.NewRegistry(), link.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := links.Decide(ctx, session.Login{}, session.Ask{}); err == nil || !strings.Contains(err.Error(), "without a verdict") {
		t.Errorf("got %v", err)
	}
}

func TestAKeptLinkSaysHowItEnded(t *testing.T) {
	for _, c := range []struct {
		name string
		then string
		want link.End
	}{
		{"kicked", "", link.End{ServerRuns: true}},
		{"expired", "-ERR 'User Authentication Expired'\r\n", link.End{Last: "-ERR 'User Authentication Expired'\r\n", ServerRuns: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			registry := session.NewRegistry()
			good, from := signed(t)
			in := make(chan struct{})
			links := link.New(engine{info: goodInfo, then: func(conn net.Conn, _ string) {
				registry.Grant(key, good)
				fmt.Fprint(conn, "PONG\r\n")
				<-in
				fmt.Fprint(conn, "PING\r\n"+c.then)
			}, hangsUp: c.then == ""}, registry, link.Options{From: from})
			_, kept, err := links.Keep(t.Context(), session.Login{}, session.Ask{})
			if err != nil {
				t.Fatal(err)
			}
			if got := links.Stats().Kept; got != 1 {
				t.Errorf("%d are kept", got)
			}
			close(in)
			if got := kept.Serve(); got != c.want {
				t.Errorf("ended by %+v, want %+v", got, c.want)
			}
			kept.Close()
			if got := links.Stats().Kept; got != 0 {
				t.Errorf("%d are kept", got)
			}
		})
	}
}

func TestTheLongestConnectFitsItsLine(t *testing.T) {
	const most = 4096
	for _, pad := range []string{"x", `"`, `\`, "<", "é"} {
		long := strings.Repeat("\x01", 1000)
		line, err := link.ConnectLine(session.Login{
			Token: strings.Repeat(pad, most/len(pad)), User: strings.Repeat("c", 128), Name: long, Lang: long, Version: long,
		})
		if err != nil {
			t.Fatal(err)
		}
		connect, rest, _ := strings.Cut(string(line), "\r\n")
		if len(connect) > link.LineBytes(most, false) || rest != "PING\r\n" {
			t.Errorf("%q: %d bytes, at most %d; then %q", pad, len(connect), link.LineBytes(most, false), rest)
		}
	}
}

// A service of somebody else's is heard a little later than the server's answer.
func TestTheVerdictOfAnExternalServiceMayComeLate(t *testing.T) {
	good, from := signed(t)
	for _, c := range []struct {
		name   string
		server string
		after  time.Duration
		settle func(*session.Registry)
		want   string        // of the error; "" for a grant
		within time.Duration // at most
	}{
		{"a grant", "PONG\r\n", 2 * time.Second, func(r *session.Registry) { r.Grant(key, good) }, "", 2 * time.Second},
		{"a denial", "-ERR 'Authorization Violation'\r\n", 100 * time.Millisecond, func(r *session.Registry) { r.Deny(key, &session.Denial{Reason: "no"}) }, "no", 100 * time.Millisecond},
		{"a grant that nobody hears of", "PONG\r\n", time.Hour, func(*session.Registry) {}, session.ErrNoVerdict.Reason, 4 * time.Second},
		{"a refusal without a reason", "-ERR 'Authorization Violation'\r\n", time.Hour, func(*session.Registry) {}, "refused a link", time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry := session.NewRegistry()
				timer := time.AfterFunc(c.after, func() { c.settle(registry) })
				defer timer.Stop()
				links := link.New(engine{info: goodInfo, then: says(c.server)}, registry, link.Options{From: from, External: true})
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				began := time.Now()
				g, err := links.Decide(ctx, session.Login{}, session.Ask{})
				if took := time.Since(began); took > c.within {
					t.Errorf("it took %v, at most %v", took, c.within)
				}
				if c.want == "" && (err != nil || g.User != "alice") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("got %+v, %v, want %q", g, err, c.want)
				}
			})
		})
	}
}

func TestAConversationThatHadToBeGrantedAndIsNotIsADenial(t *testing.T) {
	good, from := signed(t) // it covers none
	registry := session.NewRegistry()
	links := link.New(engine{info: goodInfo, then: func(conn net.Conn, connect string) {
		if !strings.Contains(connect, `"user":"c1,c2"`) {
			t.Errorf("the service is asked %s", connect)
		}
		registry.Grant(key, good)
		fmt.Fprint(conn, "PONG\r\n")
	}}, registry, link.Options{From: from, External: true})
	_, err := links.Decide(t.Context(), session.Login{User: "c1"}, session.Ask{Join: "c1", Want: []status.ConversationID{"c1", "c2"}})
	var denial *session.Denial
	if !errors.As(err, &denial) || !denial.Final || denial.BadToken || denial.User != "alice" || denial.Reason != status.NotTheirs("c1") {
		t.Errorf("got %v", err)
	}
}
