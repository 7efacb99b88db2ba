package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Wherever a verdict comes from, a browser must not be able to tell: each test of this
// file is held for all ways to our own callout.

// court is a gateway with our own callout, whose directory the test steers.
type court struct {
	*rig
	service *authcallout.Service
	book    *book
	from    access.Verdicts // nil where links are kept
}

// ways are those in which a gateway gets its verdicts.
var ways = []struct {
	name string
	keep bool
	from func(*court) access.Verdicts
}{
	{"in the process", false, func(c *court) access.Verdicts { return c.service }},
	{"by a link", false, func(c *court) access.Verdicts { return c.links }},
	{"by a link that is kept", true, func(*court) access.Verdicts { return nil }},
}

// inEachWay runs the test once for each of the ways.
func inEachWay(t *testing.T, opts gateway.Options, decisions authcallout.Options, test func(t *testing.T, c *court)) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			opts := opts
			opts.KeepLinks = way.keep
			c := &court{}
			c.rig = newRig(t, opts, func(d *gateway.Deps) {
				d.Verdicts = verdicts(func(ctx context.Context, l session.Login, a session.Ask) (*session.Grant, error) {
					return c.from.Decide(ctx, l, a)
				})
				d.Screen = screening(func(ctx context.Context, token string) (session.Proof, *session.Denial) {
					return c.service.Screen(ctx, token)
				})
			})
			c.callout.set(func(c *callout) { c.silent = true })
			c.book = &book{members: c.members}
			c.serve(decisions)
			c.from = way.from(c)
			c.members.set("c1", "alice", true)
			c.members.set("c2", "alice", true)
			test(t, c)
		})
	}
}

type verdicts func(context.Context, session.Login, session.Ask) (*session.Grant, error)

func (v verdicts) Decide(ctx context.Context, l session.Login, a session.Ask) (*session.Grant, error) {
	return v(ctx, l, a)
}

type screening func(context.Context, string) (session.Proof, *session.Denial)

func (s screening) Screen(ctx context.Context, token string) (session.Proof, *session.Denial) {
	return s(ctx, token)
}

func (c *court) serve(opts authcallout.Options) {
	c.t.Helper()
	nc, err := c.engine.Connect(engine.PartCallout)
	must(c.t, err)
	verifier, err := identity.NewHS256(identity.HS256Options{Secret: courtSecret})
	must(c.t, err)
	c.service, err = authcallout.New(nc, authcallout.Deps{
		ServerID: c.engine.ServerID, Issuer: c.keys.Issuer, Sessions: c.sessions, Verifier: verifier, Directory: c.book,
	}, opts)
	must(c.t, err)
	must(c.t, c.service.Start(c.t.Context()))
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(c.t, c.service.Stop(ctx))
		nc.Close()
	})
}

var courtSecret = []byte("a secret of tests, 32 bytes long")

func (c *court) token(user status.UserID, ttl time.Duration) string {
	c.t.Helper()
	token, err := identity.Issue(courtSecret, user, ttl, time.Now())
	must(c.t, err)
	return token
}

// alice is one of her tabs, logged in.
func (c *court) alice() *browser { return c.login(c.token("alice", time.Hour)) }

// refused logs in and returns all that the browser is told.
func (c *court) refused(connect map[string]any, code ws.StatusCode) string {
	c.t.Helper()
	b := c.dial()
	body, err := json.Marshal(connect)
	must(c.t, err)
	b.send("CONNECT " + string(body))
	return strings.Join(b.expectClosed(code), "") + b.why
}

// book is the callout's directory: what the gateway's has, and the ways to fail.
type book struct {
	members *members

	mu   sync.Mutex
	look func(ctx context.Context) error // called before each answer, if set
}

func (b *book) set(look func(ctx context.Context) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.look = look
}

func (b *book) Conversation(ctx context.Context, id status.ConversationID) (directory.Conversation, error) {
	b.mu.Lock()
	look := b.look
	b.mu.Unlock()
	if look != nil {
		if err := look(ctx); err != nil {
			return directory.Conversation{}, err
		}
	}
	found := directory.Conversation{ID: id}
	b.members.mu.Lock()
	defer b.members.mu.Unlock()
	for user, in := range b.members.of[id] {
		if in {
			found.Members = append(found.Members, user)
		}
	}
	if len(found.Members) == 0 {
		return directory.Conversation{}, fmt.Errorf("%q: %w", string(id), directory.ErrNotFound)
	}
	return found, nil
}

func (*book) OfUser(context.Context, status.UserID, int) ([]status.ConversationID, error) {
	return nil, nil
}

func TestAGrantIsTheSameInEachWay(t *testing.T) {
	limits := authcallout.Options{MaxSubscriptions: 3, MaxCategories: 2, ChangesPerMinute: 5}
	inEachWay(t, gateway.Options{Limits: limit.Options{MeterRules: limit.MeterRules{Categories: limit.Rule{Value: 10}}}}, limits, func(t *testing.T, c *court) {
		b := c.dial()
		b.connect(map[string]any{"auth_token": c.token("alice", time.Hour), "user": "c1"})
		if got := c.gateway.Stats().Verdicts; got != 1 {
			t.Fatalf("%d verdicts for a login", got)
		}
		b.sub("status.c1.engine", "1") // covered since the login
		if got := c.gateway.Stats().Verdicts; got != 1 {
			t.Fatalf("%d verdicts: CONNECT has named the conversation", got)
		}
		b.sub("status.c2.engine", "2")
		if got := c.gateway.Stats().Verdicts; got != 2 {
			t.Fatalf("%d verdicts: a first SUB costs one more", got)
		}
		for operation, want := range map[string]string{
			"SUB status.c1.tool 3": "categories of 2",
			"SUB status.c3.tool 4": `conversation "c3" is not found or not yours`,
			"SUB status.*.tool 5":  "Permissions Violation",
			"SUB $SYS.> 6":         "Permissions Violation",
		} {
			b.send(operation)
			if got := b.expect("-ERR 'Permissions Violation for Subscription"); !strings.Contains(got, want) {
				t.Errorf("%s: %s, want %q", operation, got, want)
			}
		}
		b.sub("_INBOX.a", "7")
		b.send("SUB _INBOX.b 8")
		if got := b.expect("-ERR"); !strings.Contains(got, "this connection has 3 subscriptions") {
			t.Errorf("got %s", got)
		}
		c.store("c1", "engine", "hello")
		b.expectMsg("status.c1.engine 1 ")
		if st := c.service.Stats(); st.Granted != 2 || len(st.Denied) != 0 {
			t.Errorf("the callout counts %+v", st)
		}
	})
}

func TestADenialIsTheSameInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{Limits: limit.Options{FailedLogins: limit.Rule{Value: 1}}}, authcallout.Options{}, func(t *testing.T, c *court) {
		forged, err := identity.Issue([]byte("another secret that is 32 bytes!"), "alice", time.Hour, time.Now())
		must(t, err)
		expired, err := identity.Issue(courtSecret, "alice", time.Minute, time.Now().Add(-time.Hour))
		must(t, err)
		for _, d := range []struct {
			connect map[string]any
			code    ws.StatusCode
			want    string
		}{
			{map[string]any{"auth_token": expired}, 1008, "Authorization Violation: token expired"},
			{map[string]any{"auth_token": c.token("alice", time.Hour), "user": "c3"}, 1008, `Authorization Violation: conversation "c3" is not found or not yours`},
			{map[string]any{"auth_token": forged}, 1008, "Authorization Violation: token has a wrong signature"},
			{map[string]any{"auth_token": forged}, 1013, "1 failed logins from this address"},
		} {
			if got := c.refused(d.connect, d.code); !strings.Contains(got, d.want) {
				t.Errorf("got %q, want %q", got, d.want)
			}
		}
		c.alice() // from the same address
		if st := c.service.Stats(); st.Granted != 1 || st.Denied[authcallout.CauseToken] != 3 {
			t.Errorf("the callout counts %+v", st)
		}
		var denied []string
		for _, rec := range c.records() {
			if rec.Kind == audit.KindDenied {
				denied = append(denied, fmt.Sprintf("%s %s %d", rec.User, rec.Address, rec.Code))
			}
		}
		if got := strings.Join(denied, "; "); strings.Count(got, "127.0.0.1 1008") != 3 || !strings.Contains(got, "alice 127.0.0.1 1008") {
			t.Errorf("the audit has %s", got)
		}
	})
}

// Without a screen the token is first looked at by whoever gives the verdict.
func TestAVerdictLooksAtATokenThatNobodyHasScreened(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{}, func(t *testing.T, c *court) {
		if c.from == nil {
			return // those of kept links are the same links
		}
		login := session.Login{}
		ask := func(token string) error {
			login.Token = token
			_, err := c.from.Decide(t.Context(), login, session.Ask{})
			return err
		}
		good := c.token("alice", time.Hour)
		must(t, ask(good))
		denial, ok := ask("letmein").(*session.Denial)
		if !ok || !denial.Final || !denial.BadToken {
			t.Errorf("got %v", denial)
		}
		// A proof is good for its own token, and for the service that has made it.
		proof, _ := c.service.Screen(t.Context(), good)
		login.Proof = proof
		if err := ask("letmein"); err == nil {
			t.Error("another token passes with the proof of a good one")
		}
		login.Proof = proofOf("alice")
		if err := ask("letmein"); err == nil {
			t.Error("a proof of somebody's own making is believed")
		}
	})
}

func TestADirectoryThatDoesNotAnswerIsPassingInEachWay(t *testing.T) {
	for name, look := range map[string]func(ctx context.Context) error{
		"down":  func(context.Context) error { return fmt.Errorf("dial 10.0.0.7: %w", directory.ErrUnavailable) },
		"slow":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"panic": func(context.Context) error { panic("no such table") },
	} {
		t.Run(name, func(t *testing.T) {
			inEachWay(t, gateway.Options{}, authcallout.Options{Timeout: 200 * time.Millisecond}, func(t *testing.T, c *court) {
				inside := c.alice()
				c.book.set(look)
				// A plain close: after an -ERR clients would give up for good.
				got := c.refused(map[string]any{"auth_token": c.token("alice", time.Hour), "user": "c1"}, 1013)
				if strings.Contains(got, "-ERR") || strings.Contains(got, "10.0.0.7") {
					t.Errorf("a login is told %q", got)
				}
				inside.send("SUB status.c1.engine 1")
				if got := inside.expect("-ERR"); !strings.Contains(got, "not available just now: try again") {
					t.Errorf("a SUB is told %s", got)
				}
				c.book.set(nil)
				inside.sub("status.c1.engine", "2") // and the callout goes on
				b := c.dial()
				b.connect(map[string]any{"auth_token": c.token("alice", time.Hour), "user": "c1"})
			})
		})
	}
}

func TestAFullQueueTurnsLoginsAwayInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{Workers: 1, QueueLength: 1, Timeout: patience}, func(t *testing.T, c *court) {
		held, open := make(chan struct{}, 8), make(chan struct{})
		c.book.set(func(context.Context) error { held <- struct{}{}; <-open; return nil })
		login := func() *browser {
			b := c.dial()
			b.send(fmt.Sprintf(`CONNECT {"auth_token":%q,"user":"c1"}`, c.token("alice", time.Duration(1+c.gateway.Stats().Sockets)*time.Hour)), "PING")
			return b
		}
		working := login()
		<-held
		waiting := login()
		eventually(t, "one waits", func() bool { return c.service.Stats().Queued == 1 })
		if errs := login().expectClosed(1013); len(errs) > 0 {
			t.Errorf("who finds the queue full is told %q", errs)
		}
		if got := c.service.Stats().Denied[authcallout.CauseQueueFull]; got != 1 {
			t.Errorf("%d are counted", got)
		}
		close(open)
		working.expect("PONG")
		waiting.expect("PONG")
	})
}

func TestAKickedBrowserComesBackInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{}, func(t *testing.T, c *court) {
		token := c.token("alice", time.Hour)
		b := c.login(token)
		b.sub("status.c1.engine", "1")
		if n := c.gateway.Kick("alice", "go away", "operator"); n != 1 {
			t.Fatalf("%d kicked", n)
		}
		if b.expectClosed(1001); b.why != "go away" {
			t.Errorf("it is told %q", b.why)
		}
		c.login(token).sub("status.c1.engine", "1")
	})
}

func TestLostAccessEndsItsSubscriptionsInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{}, func(t *testing.T, c *court) {
		b := c.alice()
		b.sub("status.c1.engine", "1")
		b.sub("status.c2.engine", "2")
		c.members.set("c1", "alice", false)
		c.gateway.AccessChanged("c1")
		if got := b.expect("-ERR"); !strings.Contains(got, `your access to conversation "c1" has ended`) {
			t.Errorf("got %s", got)
		}
		b.send("SUB status.c1.engine 3")
		b.expect("-ERR")
		c.store("c1", "engine", "not for her")
		c.store("c2", "engine", "hers")
		b.expectMsg("status.c2.engine 2 ")
		c.members.set("c1", "alice", true)
		b.sub("status.c1.engine", "4")
	})
}

func TestLostAccessThatNobodyCanConfirmEndsTheSocketInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{}, func(t *testing.T, c *court) {
		b := c.alice()
		b.sub("status.c1.engine", "1")
		c.book.set(func(context.Context) error { return directory.ErrUnavailable })
		c.members.set("c1", "alice", false)
		c.gateway.AccessChanged("c1")
		if errs := b.expectClosed(1001); len(errs) > 0 {
			t.Errorf("it is told %q, and may give up for good", errs)
		}
	})
}

func TestAGrantRenewsItselfWhileItsTokenHoldsInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{GrantLifetime: 11 * time.Second}, func(t *testing.T, c *court) {
		b := c.alice()
		b.sub("status.c1.engine", "1")
		granted := c.service.Stats().Granted
		eventually(t, "it is renewed before its end", func() bool { return c.service.Stats().Granted > granted })
		c.store("c1", "engine", "hello")
		b.expectMsg("status.c1.engine 1 ")
	})
}

func TestAGrantEndsWithItsTokenInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{}, func(t *testing.T, c *court) {
		b := c.login(c.token("alice", 2*time.Second))
		if errs := b.expectClosed(1000); len(errs) > 0 || !strings.Contains(b.why, "expired") {
			t.Errorf("it is told %q, %q", errs, b.why)
		}
	})
}

func TestAFreshTokenGoesOnInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{}, func(t *testing.T, c *court) {
		b := c.login(c.token("alice", 3*time.Second))
		b.sub("_INBOX.a", "1")
		b.sub("status.c1.engine", "2")
		for _, f := range []struct{ token, want string }{
			{c.token("bob", time.Hour), "another user's"},
			{"letmein", `"code":401`},
			{c.token("alice", time.Hour), `"expires"`},
		} {
			b.send(fmt.Sprintf("PUB gateway.token _INBOX.a %d", len(f.token)), f.token)
			if got := b.expectMsg("_INBOX.a 1 "); !strings.Contains(got, f.want) {
				t.Errorf("got %s, want %s", got, f.want)
			}
		}
		info := c.gateway.Sessions(session.Filter{User: "alice"})
		if len(info) != 1 || time.Until(info[0].Expires) < 50*time.Minute {
			t.Errorf("it has %+v", info)
		}
		c.store("c1", "engine", "hello")
		b.expectMsg("status.c1.engine 2 ")
	})
}

func TestWhatIsExplainedIsWhatComesInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{MaxCategories: 1}, func(t *testing.T, c *court) {
		why := func(subject string) session.Explanation {
			x, err := c.gateway.Explain(t.Context(), session.Question{User: "alice", Subject: subject}, gateway.Evidence{
				Conversation: c.book.Conversation, Grant: c.service.Preview,
			})
			must(t, err)
			return x
		}
		for i, subject := range []string{"status.c1.engine", "status.c1.*", "status.c3.engine", "$SYS.>", "presence.c2"} {
			next := why(subject) // of the connection that is about to come
			b := c.login(c.token("alice", time.Duration(i+1)*time.Hour))
			held := why(subject)
			b.send("SUB "+subject+" 1", "PING")
			answer := strings.TrimSuffix(strings.TrimPrefix(b.line(), "-ERR '"), "'")
			if answer == "PONG" {
				answer = ""
			}
			for _, x := range []session.Explanation{next, held} {
				if x.Allowed != (answer == "") || x.Answer != answer {
					t.Errorf("%s: explained as %v %q, and it came %q", subject, x.Allowed, x.Answer, answer)
				}
			}
			_ = b.conn.Close()
			eventually(t, "it has gone", func() bool { return len(c.gateway.Sessions(session.Filter{User: "alice"})) == 0 })
		}
	})
}

func TestNobodyLogsInWhileNoServerRunsInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{}, func(t *testing.T, c *court) {
		must(t, c.engine.Stop(t.Context()))
		if got := c.refused(map[string]any{"auth_token": c.token("alice", time.Hour)}, 1013); strings.Contains(got, "-ERR") {
			t.Errorf("it is told %q, and may give up for good", got)
		}
	})
}

func TestEachServerThatRunsMayDecideInEachWay(t *testing.T) {
	inEachWay(t, gateway.Options{}, authcallout.Options{}, func(t *testing.T, c *court) {
		_, err := c.engine.Restart(t.Context())
		must(t, err)
		eventually(t, "the callout is at the new server", func() bool {
			b := c.dial()
			b.send(fmt.Sprintf(`CONNECT {"auth_token":%q}`, c.token("alice", time.Hour)), "PING")
			return b.line() == "PONG"
		})
		c.alice().sub("status.c1.engine", "1")
	})
}
