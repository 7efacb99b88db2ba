package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/engine"
)

// witnessed is an engine with one unrestricted user in each account, who sees what
// the others publish and publishes what they shall hear.
type witnessed struct {
	*engine.Engine
	witness map[string]*nats.Conn // by account
}

func startWitnessed(t *testing.T) witnessed {
	t.Helper()
	opts := options(t)
	w := witnessed{Engine: start(t, opts), witness: map[string]*nats.Conn{}}
	callout := connect(t, w.Engine, engine.PartCallout)
	sub, err := callout.Subscribe("$SYS.REQ.USER.AUTH", func(m *nats.Msg) { admitWitness(t, opts.Keys.Issuer, m) })
	if err != nil {
		t.Fatal(err)
	}
	if err := callout.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, account := range w.ServerOptions().Accounts {
		nc, err := nats.Connect(w.ClientURL(), nats.UserInfo(account.Name, ""))
		if err != nil {
			t.Fatalf("a witness in %s: %v", account.Name, err)
		}
		t.Cleanup(nc.Close)
		w.witness[account.Name] = nc
	}
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	return w
}

// admitWitness answers as the callout and lets the login in, unrestricted, into the
// account that it calls its user: nats.conf has no such users, and may not have them.
func admitWitness(t *testing.T, issuer nkeys.KeyPair, m *nats.Msg) {
	request, err := jwt.DecodeAuthorizationRequestClaims(string(m.Data))
	if err != nil {
		t.Error(err)
		return
	}
	user := jwt.NewUserClaims(request.UserNkey)
	user.Audience = request.ConnectOptions.Username
	answer := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	answer.Audience = request.Server.ID
	if answer.Jwt, err = user.Encode(issuer); err != nil {
		t.Error(err)
		return
	}
	text, err := answer.Encode(issuer)
	if err != nil {
		t.Error(err)
		return
	}
	if err := m.Respond([]byte(text)); err != nil {
		t.Error(err)
	}
}

// beyond is the account, and the subject there, that something in the account comes
// to or from: itself, unless it is imported.
func beyond(account, subject string) (there, seen string) {
	subject = seenAs(subject)
	if account != engine.AccountOperators {
		return account, subject
	}
	if rest, ok := strings.CutPrefix(subject, "$JS.API.CONSUMER.CREATE."); ok {
		subject = "consumer.create." + rest
	}
	root, _, _ := strings.Cut(subject, ".")
	switch {
	case strings.HasPrefix(root, "_INBOX_"), subject == "$SYS.REQ.USER.INFO", strings.HasPrefix(subject, "$JS.ACK."):
		return account, subject
	case root == "$SYS":
		return engine.AccountSystem, subject
	case root == "audit", strings.Contains(subject, ".AUDIT"), strings.Contains(subject, ".MARKS"), strings.Contains(subject, ".KV_directory"):
		return engine.AccountState, subject
	}
	return engine.AccountStatus, subject
}

// as connects over TCP as the user of the variable; violations come on the channel.
func (w witnessed) as(t *testing.T, variable string) (*nats.Conn, chan error) {
	t.Helper()
	violations := make(chan error, 16)
	nc := dial(t, w.Engine, w.KeyOf(variable), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		violations <- err
	}))
	return nc, violations
}

func TestEveryAllowLineOfNATSConfIsUsable(t *testing.T) {
	w := startWitnessed(t)
	users := w.Users()
	for _, name := range slices.Sorted(maps.Keys(uses)) {
		if users[name] == nil {
			t.Errorf("$%s is not in nats.conf", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		t.Run(name, func(t *testing.T) {
			u, want := users[name], uses[name]
			sameLines(t, "publish", u.Permissions.Publish.Allow, want.publish)
			sameLines(t, "subscribe", u.Permissions.Subscribe.Allow, want.subscribe)
			nc, violations := w.as(t, name)
			for _, p := range want.publish {
				there, seen := beyond(u.Account.Name, p.subject)
				if err := carries(w.witness[there], seen, nc, p.subject); err != nil {
					t.Errorf("publish on %s for the line %q: %v%s", p.subject, p.line, err, pending(violations))
				}
			}
			for _, s := range want.subscribe {
				if s.subject == login {
					w.hearLogin(t, nc, s.line)
					continue
				}
				there, _ := beyond(u.Account.Name, s.subject)
				if err := carries(nc, s.line, w.witness[there], s.subject); err != nil {
					t.Errorf("subscribe to %s, publish on %s: %v%s", s.line, s.subject, err, pending(violations))
				}
			}
		})
	}
}

// seenAs is where a published subject arrives: after the mapping.
func seenAs(subject string) string {
	if rest, ok := strings.CutPrefix(subject, "status."); ok {
		return "submit." + rest
	}
	if strings.HasPrefix(subject, "admin.") && !strings.HasSuffix(subject, ".viewer") {
		return subject + ".operator"
	}
	return subject
}

func sameLines(t *testing.T, what string, conf []string, tested []use) {
	t.Helper()
	var lines []string
	for _, u := range tested {
		lines = append(lines, u.line)
	}
	for _, line := range conf {
		if !slices.Contains(lines, line) {
			t.Errorf("nats.conf allows %s %q, which no test uses", what, line)
		}
	}
	for _, line := range lines {
		if !slices.Contains(conf, line) {
			t.Errorf("the test uses %s %q, which nats.conf does not allow", what, line)
		}
	}
}

// carries subscribes with one connection, publishes with the other, and waits for
// the message.
func carries(hearer *nats.Conn, pattern string, speaker *nats.Conn, subject string) error {
	sub, err := hearer.SubscribeSync(pattern)
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()
	if err := hearer.Flush(); err != nil {
		return err
	}
	text := nats.NewInbox()
	if err := speaker.Publish(subject, []byte(text)); err != nil {
		return err
	}
	if err := speaker.Flush(); err != nil {
		return err
	}
	deadline := time.Now().Add(2 * time.Second)
	for {
		m, err := sub.NextMsg(time.Until(deadline))
		if err != nil {
			return err
		}
		if string(m.Data) == text {
			return nil
		}
	}
}

// hearLogin makes the server ask on the subject, and sees that the answer reaches
// the server: a denial ends the login well before the server's own timeout.
func (w witnessed) hearLogin(t *testing.T, nc *nats.Conn, subject string) {
	t.Helper()
	asked := make(chan struct{}, 1)
	sub, err := nc.Subscribe(subject, func(m *nats.Msg) {
		asked <- struct{}{}
		m.Respond(nil) // an empty answer is a denial
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err = nats.Connect(w.ClientURL(), nats.Token("a browser's token"))
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("login with a token: %v, want an authorization violation", err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the denial took %v: the answer of the callout did not arrive", took)
	}
	select {
	case <-asked:
	default:
		t.Error("the callout was not asked")
	}
}

func pending(violations chan error) string {
	select {
	case err := <-violations:
		return fmt.Sprintf(" (%v)", err)
	default:
		return ""
	}
}

func TestNATSConfDeniesEachUserWhatIsOthers(t *testing.T) {
	w := startWitnessed(t)
	for variable, denied := range map[string]struct{ publish, subscribe []string }{
		"SERVICE_KEY": {
			publish: []string{
				"ingest.c1.engine", "edge.c1.join", "edge.c1.join.alice", "presence.c1", "audit.denied",
				"admin.conversation.delete", "_INBOX.abc.1", "$KV.directory.c1", "$SRV.PING",
				"$JS.API.STREAM.PURGE.STATUS", "$JS.API.STREAM.DELETE.STATUS", "$JS.API.STREAM.CREATE.X",
				"$JS.API.CONSUMER.CREATE.STATUS", "$SYS.REQ.SERVER.N1.RELOAD",
			},
			subscribe: []string{
				">", "status.>", "submit.*.*", "ingest.*.*", "edge.*.*", "edge.*.*.*", "admin.>", "audit.>",
				"_INBOX_gateway.>", "_INBOX_edge.>", "_INBOX_operator.>", "$KV.>", "$JS.>", "$SYS.>", "$SRV.>",
			},
		},
		"OPERATOR_KEY": {
			publish: []string{
				"status.c1.engine", "submit.c1.engine", "ingest.c1.engine", "edge.c1.join.alice", "presence.c1", "audit.denied", "$KV.directory.c1",
				"consumer.create.STATUS.view", "$JS.API.CONSUMER.DURABLE.CREATE.STATUS.view", "$JS.API.CONSUMER.CREATE",
				"$JS.API.STREAM.SNAPSHOT.AUDIT", "$JS.API.STREAM.CREATE.X", "$JS.API.ACCOUNT.PURGE.STATUS", "$SYS.REQ.SERVER.PING",
				"$JS.API.STREAM.PURGE.STATUS", "$JS.API.STREAM.DELETE.STATUS", "$JS.API.STREAM.DELETE.AUDIT",
				"$JS.API.STREAM.UPDATE.STATUS", "$JS.API.STREAM.MSG.DELETE.STATUS", "$SYS.REQ.SERVER.N1.RELOAD",
			},
			subscribe: []string{">", "submit.*.*", "ingest.*.*", "edge.*.*", "edge.*.*.*", "admin.>", "_INBOX.>", "_INBOX_gateway.>", "_INBOX_system.>", "_R_.>", "$SYS.>", "$KV.>"},
		},
		"VIEWER_KEY": {
			publish: []string{
				"admin.conversation.create.viewer", "admin.conversation.delete.viewer", "admin.session.kick.viewer", "admin.key.create.viewer", "admin.key.end.viewer", "admin.why.operator",
				"status.c1.engine", "submit.c1.engine", "ingest.c1.engine", "edge.c1.join.alice", "consumer.create.STATUS.view", "$SRV.RESET", "audit.denied",
				"$JS.API.STREAM.PURGE.STATUS", "$JS.API.STREAM.DELETE.AUDIT", "$JS.API.STREAM.CREATE.X", "$SYS.REQ.SERVER.PING", "$KV.directory.c1",
			},
			subscribe: []string{">", "admin.>", "_INBOX.>", "_INBOX_operator.>", "_INBOX_key.>", "_R_.>", "$SYS.>", "$KV.>"},
		},
		"KEYS_KEY": {
			publish:   []string{"$KV.directory.c1", "marks.node", "audit.admin.kicked", "$JS.API.STREAM.DELETE.KV_keys", "$JS.API.CONSUMER.CREATE.KV_directory.w", "$JS.API.CONSUMER.CREATE.KV_keys"},
			subscribe: []string{">", "$KV.>", "_INBOX.>", "_INBOX_directory.>"},
		},
		"GATEWAY_KEY": {
			publish:   []string{"status.c1.engine", "ingest.c1.engine", "edge.c1.join", "admin.session.kick", "presence.c1", "$JS.API.INFO"},
			subscribe: []string{">", "status.*.*", "edge.*.*.*", "_INBOX.>", "_INBOX_edge.>"},
		},
		"FANOUT_KEY": {
			publish:   []string{"status.c1.engine", "ingest.c1.engine", "edge.c1.join.alice", "presence.c1", "$JS.API.DIRECT.GET.AUDIT", "$JS.API.DIRECT.GET.KV_directory", "$JS.API.STREAM.INFO.AUDIT", "$JS.API.CONSUMER.CREATE.STATUS"},
			subscribe: []string{">", "submit.*.*", "_INBOX.>", "audit.>", "$JS.EVENT.>"},
		},
		"BROADCASTER_KEY": {
			publish:   []string{"status.c1.engine", "submit.c1.engine", "edge.c1.join.alice", "audit.denied", "$JS.API.INFO", "_INBOX_gateway.abc.1", "_INBOX_user.alice.1", "_INBOX_edge.abc.1"},
			subscribe: []string{">", "status.*.*", "ingest.*.*", "_INBOX.>", "edge.*.*"},
		},
		"EDGE_KEY": {
			publish:   []string{"status.c1.engine", "ingest.c1.engine", "edge.c1.join.alice", "_INBOX.abc.1", "_INBOX_admin.abc.1", "$JS.API.DIRECT.GET.AUDIT", "$JS.API.STREAM.INFO.AUDIT", "$JS.API.STREAM.PURGE.STATUS"},
			subscribe: []string{">", "status.*.*", "admin.>", "_INBOX.>", "_INBOX_gateway.>"},
		},
		"ADMIN_KEY": {
			publish:   []string{"status.c1.engine", "ingest.c1.engine", "edge.c1.join.alice", "_INBOX.abc.1", "_INBOX_edge.abc.1", "$JS.API.STREAM.DELETE.STATUS", "$JS.API.STREAM.PURGE.AUDIT", "$JS.API.STREAM.PURGE.KV_directory"},
			subscribe: []string{">", "status.*.*", "edge.*.*", "_INBOX.>"},
		},
		"DIRECTORY_KEY": {
			publish:   []string{"$JS.API.INFO", "$JS.API.CONSUMER.CREATE.KV_directory", "$JS.API.STREAM.MSG.GET.KV_directory", "status.c1.engine", "$JS.API.DIRECT.GET.STATUS", "$JS.API.CONSUMER.CREATE.STATUS", "$JS.API.STREAM.DELETE.KV_directory", "$JS.API.STREAM.PURGE.KV_directory"},
			subscribe: []string{">", "$KV.>", "status.*.*", "_INBOX.>"},
		},
		"PRESENCE_KEY": {
			publish:   []string{"status.c1.engine", "presence.c1.x", "edge.c1.join.alice", "_INBOX.abc.1"},
			subscribe: []string{">", "status.*.*", "presence.*", "_INBOX.>", "_INBOX_presence.>"},
		},
		"AUDIT_KEY": {
			publish:   []string{"status.c1.engine", "$JS.API.STREAM.PURGE.AUDIT", "$JS.API.STREAM.DELETE.AUDIT"},
			subscribe: []string{">", "audit.>", "_INBOX.>"},
		},
		"MARKS_KEY": {
			publish:   []string{"status.c1.engine", "marks.node.x", "$JS.API.DIRECT.GET.STATUS", "$JS.API.DIRECT.GET.KV_directory", "$JS.API.STREAM.INFO.STATUS", "$JS.API.STREAM.PURGE.MARKS", "$JS.API.STREAM.DELETE.MARKS", "$JS.API.CONSUMER.CREATE.MARKS"},
			subscribe: []string{">", "marks.*", "status.*.*", "_INBOX.>", "_INBOX_gateway.>"},
		},
		"STREAMS_KEY": {
			publish:   []string{"status.c1.engine", "$JS.API.STREAM.DELETE.STATUS", "$JS.API.STREAM.PURGE.STATUS", "$JS.API.DIRECT.GET.STATUS"},
			subscribe: []string{">", "status.*.*", "_INBOX.>"},
		},
		"STATE_STREAMS_KEY": {
			publish:   []string{"audit.admin", "marks.node", "$KV.directory.c1", "$JS.API.STREAM.DELETE.AUDIT", "$JS.API.STREAM.PURGE.MARKS", "$JS.API.DIRECT.GET.AUDIT"},
			subscribe: []string{">", "audit.>", "_INBOX.>"},
		},
		"CONSUMERS_KEY": {
			publish:   []string{"status.c1.engine", "ingest.c1.engine", "_INBOX.abc.1", "$JS.API.CONSUMER.CREATE.X.view", "$JS.API.CONSUMER.CREATE.STATUS", "$JS.API.CONSUMER.DELETE.STATUS.view"},
			subscribe: []string{">", "status.*.*", "submit.*.*", "_INBOX.>"},
		},
		"STATE_CONSUMERS_KEY": {
			publish:   []string{"audit.admin", "marks.node", "$KV.directory.c1", "_INBOX.abc.1", "$JS.API.CONSUMER.CREATE.KV_directory.view", "$JS.API.CONSUMER.CREATE.MARKS.view", "$JS.API.CONSUMER.CREATE.AUDIT"},
			subscribe: []string{">", "audit.>", "_INBOX.>"},
		},
		"CALLOUT_KEY": {
			publish:   []string{"$SYS.REQ.USER.AUTH", "status.c1.engine", "x"},
			subscribe: []string{">", "_INBOX.>", "$SYS.>"},
		},
		"SYSTEM_KEY": {
			publish: []string{
				"$SYS.REQ.SERVER.N1.RELOAD", "$SYS.REQ.SERVER.N1.PROFILEZ", "$SYS.REQ.SERVER.PING.PROFILEZ", "$SYS.REQ.SERVER.N1.LDM", "$JS.API.ACCOUNT.PURGE.STATUS", "$JS.API.META.LEADER.STEPDOWN",
				"$SYS.REQ.USER.AUTH", "$SYS.REQ.CLAIMS.UPDATE", "$SYS.ACCOUNT.STATUS.CONNECT", "$JS.API.SERVER.REMOVE", "status.c1.engine",
			},
			subscribe: []string{">", "$SYS.>", "$SYS.REQ.>", "$SYS.REQ.USER.AUTH", "status.*.*", "status.>", "audit.>", "_INBOX.>", "_INBOX_operator.>"},
		},
	} {
		t.Run(variable, func(t *testing.T) {
			nc, violations := w.as(t, variable)
			for _, subject := range denied.publish {
				if err := nc.Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
				wantViolation(t, nc, violations, "Publish", subject)
			}
			for _, subject := range denied.subscribe {
				sub, err := nc.SubscribeSync(subject)
				if err != nil {
					t.Fatal(err)
				}
				wantViolation(t, nc, violations, "Subscription", subject)
				sub.Unsubscribe()
			}
		})
	}
	for name := range w.Users() {
		if uses[name].subscribe == nil {
			t.Errorf("no test of what $%s is denied", name)
		}
	}
}

// A queue group of browsers is theirs alone: nobody else may be a member of it, and with
// any other name, or none, who may hear statuses hears all of them.
func TestNobodyButTheFanOutIsInAQueueGroupOfBrowsers(t *testing.T) {
	w := startWitnessed(t)
	for variable := range w.Users() {
		nc, violations := w.as(t, variable)
		for _, subject := range []string{"status.c1.engine", "status.c1.*", "status.*.*", "presence.c1", "presence.*"} {
			sub, err := nc.QueueSubscribeSync(subject, "browsers.indexer")
			if err != nil {
				t.Fatal(err)
			}
			if variable != "FANOUT_KEY" {
				wantViolation(t, nc, violations, variable+" in a group of browsers: Subscription", subject)
			} else if err := nc.Flush(); err != nil || len(violations) > 0 {
				t.Errorf("the fan-out on %s: %v%s", subject, err, pending(violations))
			}
			sub.Unsubscribe()
		}
	}
	for _, variable := range []string{"SERVICE_KEY", "OPERATOR_KEY", "VIEWER_KEY"} {
		nc, violations := w.as(t, variable)
		plain := subscribe(t, nc, "status.*.*")
		group, err := nc.QueueSubscribeSync("status.*.*", "indexer-"+variable)
		if err != nil {
			t.Fatal(err)
		}
		literal, err := nc.QueueSubscribeSync("status.c1.engine", "another-"+variable)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		broadcaster, _ := w.as(t, "BROADCASTER_KEY")
		if err := broadcaster.Publish("ingest.c1.engine", []byte(`{"text":"x"}`)); err != nil {
			t.Fatal(err)
		}
		for what, sub := range map[string]*nats.Subscription{"alone": plain, "in a group": group, "in a group, a literal": literal} {
			if _, err := sub.NextMsg(5 * time.Second); err != nil {
				t.Errorf("%s hears nothing %s: %v%s", variable, what, err, pending(violations))
			}
		}
	}
}

func wantViolation(t *testing.T, nc *nats.Conn, violations chan error, what, subject string) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-violations:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s on %s: %v", what, subject, err)
		}
	case <-time.After(time.Second):
		t.Errorf("%s on %s is allowed", what, subject)
	}
}

func TestNobodyButTheServerReloads(t *testing.T) {
	w := startWitnessed(t)
	// The table above denies it to each user. Even to one without limits in SYS the
	// server answers that it has no file to reload.
	m, err := w.witness["SYS"].Request("$SYS.REQ.SERVER."+w.ServerID()+".RELOAD", nil, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(m.Data), "error") {
		t.Errorf("RELOAD was answered %s", m.Data)
	}
}

// What an operator asks is answered with as many messages as the answer has; a
// service's inbox is reached without allow_responses.
func TestAnswersOfSeveralMessagesReachWhoAsks(t *testing.T) {
	w := startWitnessed(t)
	for _, c := range []struct {
		part, listen string
		asker        *nats.Conn
		request      string
	}{
		{"EDGE_KEY", "edge.*.*", dialOperator(t, w.Engine), "edge.c1.history"},
		{"BROADCASTER_KEY", "submit.*.*", dial(t, w.Engine, w.KeyOf("SERVICE_KEY")), "status.c1.engine"},
	} {
		t.Run(c.part, func(t *testing.T) {
			nc, violations := w.as(t, c.part)
			_, err := nc.Subscribe(c.listen, func(m *nats.Msg) {
				for i := range 3 {
					m.Respond(fmt.Append(nil, i))
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			inbox := c.asker.NewInbox()
			sub := subscribe(t, c.asker, inbox)
			if err := c.asker.PublishRequest(c.request, inbox, nil); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if m := next(t, sub); string(m.Data) != fmt.Sprint(i) {
					t.Errorf("answer %d is %s%s", i, m.Data, pending(violations))
				}
			}
		})
	}
}

// No part may answer anywhere but into an inbox: nothing in nats.conf lets an answer
// go where the asker has it sent, but the callout's, whom only the server asks.
func TestOnlyTheCalloutMayAnswerWhereverItIsAsked(t *testing.T) {
	e, err := engine.New(options(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range e.Users() {
		if may := u.Permissions.Response != nil; may != (name == "CALLOUT_KEY") {
			t.Errorf("$%s: allow_responses is %v", name, u.Permissions.Response)
		}
	}
}
