package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/internal/engine"
)

// A use is one allow line of nats.conf and a subject that it must let through.
type use struct{ line, subject string }

// uses has every allow line of every user. A line of nats.conf that is not here
// fails the test, and so does one here that is not in nats.conf.
var uses = map[string]struct{ publish, subscribe []use }{
	"SERVICE_KEY": {
		publish: []use{{"submit.*.*", "status.c1.engine"}}, // by the mapping
		subscribe: []use{
			{"status.*.*", "ingest.c1.engine"}, // stored and republished
			{"presence.*", "presence.c1"},
			{"_INBOX.>", "_INBOX.abc.1"},
		},
	},
	"OPERATOR_KEY": {
		publish: []use{
			{"submit.*.*", "status.c1.engine"},
			{"admin.conversation.*.operator", "admin.conversation.list"}, // by the mapping, as what follows
			{"admin.category.*.operator", "admin.category.add"},
			{"admin.session.*.operator", "admin.session.list"},
			{"admin.key.*.operator", "admin.key.list"},
			{"admin.why.operator", "admin.why"},
			{"edge.*.*", "edge.c1.join"},
			{"$SRV.>", "$SRV.PING.edge"},
			{"$SYS.REQ.USER.INFO", "$SYS.REQ.USER.INFO"},
			{"$JS.API.INFO", "$JS.API.INFO"},
			{"$JS.API.STREAM.NAMES", "$JS.API.STREAM.NAMES"},
			{"$JS.API.STREAM.LIST", "$JS.API.STREAM.LIST"},
			{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.STATUS"},
			{"$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.MSG.GET.AUDIT"},
			{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.STATUS.status.c1.engine"},
			{"$JS.API.CONSUMER.>", "$JS.API.CONSUMER.CREATE.STATUS.view"},
			{"$JS.ACK.>", "$JS.ACK.STATUS.view.1.1.1.1.0"},
		},
		subscribe: []use{
			{"status.>", "ingest.c1.engine"},
			{"presence.>", "presence.c1"},
			{"audit.>", "audit.denied"},
			{"$JS.EVENT.>", "$JS.EVENT.ADVISORY.STREAM.CREATED.X"},
			{"_INBOX.>", "_INBOX.abc.1"},
			{"_INBOX_operator.>", "_INBOX_operator.abc.1"},
		},
	},
	"VIEWER_KEY": {
		publish: []use{
			{"admin.conversation.show.viewer", "admin.conversation.show.viewer"},
			{"admin.conversation.list.viewer", "admin.conversation.list.viewer"},
			{"admin.session.list.viewer", "admin.session.list.viewer"},
			{"admin.why.viewer", "admin.why.viewer"},
			{"admin.key.list.viewer", "admin.key.list.viewer"},
			{"edge.*.*", "edge.c1.join"},
			{"$SRV.PING", "$SRV.PING"},
			{"$SRV.PING.>", "$SRV.PING.edge"},
			{"$SRV.INFO", "$SRV.INFO"},
			{"$SRV.INFO.>", "$SRV.INFO.edge"},
			{"$SRV.STATS", "$SRV.STATS"},
			{"$SRV.STATS.>", "$SRV.STATS.edge"},
			{"$SYS.REQ.USER.INFO", "$SYS.REQ.USER.INFO"},
			{"$JS.API.INFO", "$JS.API.INFO"},
			{"$JS.API.STREAM.NAMES", "$JS.API.STREAM.NAMES"},
			{"$JS.API.STREAM.LIST", "$JS.API.STREAM.LIST"},
			{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.STATUS"},
			{"$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.MSG.GET.AUDIT"},
			{"$JS.API.DIRECT.GET.>", "$JS.API.DIRECT.GET.STATUS.status.c1.engine"},
		},
		subscribe: []use{
			{"status.>", "ingest.c1.engine"},
			{"presence.>", "presence.c1"},
			{"audit.>", "audit.connect.denied"},
			{"$JS.EVENT.>", "$JS.EVENT.ADVISORY.STREAM.CREATED.X"},
			{"_INBOX_viewer.>", "_INBOX_viewer.abc.1"},
		},
	},
	"KEYS_KEY": {
		publish: []use{
			{"$KV.keys.>", "$KV.keys.ci"},
			{"$JS.API.STREAM.INFO.KV_keys", "$JS.API.STREAM.INFO.KV_keys"},
			{"$JS.API.CONSUMER.CREATE.KV_keys.>", "$JS.API.CONSUMER.CREATE.KV_keys.w.$KV.keys.ci"},
			{"$JS.API.CONSUMER.MSG.NEXT.KV_keys.*", "$JS.API.CONSUMER.MSG.NEXT.KV_keys.w"},
			{"$JS.API.CONSUMER.DELETE.KV_keys.*", "$JS.API.CONSUMER.DELETE.KV_keys.w"},
		},
		subscribe: []use{{"_INBOX_keys.>", "_INBOX_keys.abc.1"}},
	},
	"GATEWAY_KEY": {
		publish:   []use{{"edge.*.*.*", "edge.c1.join.alice"}},
		subscribe: []use{{"_INBOX_gateway.>", "_INBOX_gateway.abc.1"}},
	},
	"FANOUT_KEY": {
		publish: []use{
			{"$JS.API.DIRECT.GET.STATUS", "$JS.API.DIRECT.GET.STATUS"},
			{"$JS.API.DIRECT.GET.STATUS.>", "$JS.API.DIRECT.GET.STATUS.status.c1.engine"},
			{"$JS.API.STREAM.INFO.STATUS", "$JS.API.STREAM.INFO.STATUS"},
		},
		subscribe: []use{
			{"status.*.*", "ingest.c1.engine"}, // stored and republished
			{"presence.*", "presence.c1"},
			{"_INBOX_fanout.>", "_INBOX_fanout.abc.1"},
			{"$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.STATUS", "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.STATUS"},
		},
	},
	"BROADCASTER_KEY": {
		publish: []use{
			{"ingest.*.*", "ingest.c1.engine"},
			{"_INBOX.>", "_INBOX.abc.1"},
			{"_INBOX_key.>", "_INBOX_key.ci.abc.1"},
			{"_R_.>", "_R_.abc.1"},
		},
		subscribe: []use{
			{"submit.*.*", "status.c1.engine"}, // by the mapping
			{"_INBOX_broadcaster.>", "_INBOX_broadcaster.abc.1"},
		},
	},
	"EDGE_KEY": {
		publish: []use{
			{"$JS.API.DIRECT.GET.STATUS", "$JS.API.DIRECT.GET.STATUS"},
			{"$JS.API.DIRECT.GET.STATUS.>", "$JS.API.DIRECT.GET.STATUS.status.c1.engine"},
			{"$JS.API.STREAM.INFO.STATUS", "$JS.API.STREAM.INFO.STATUS"},
		},
		subscribe: []use{
			{"edge.*.*", "edge.c1.join"},
			{"edge.*.*.*", "edge.c1.join.alice"},
			{"$SRV.>", "$SRV.INFO.edge"},
			{"_INBOX_edge.>", "_INBOX_edge.abc.1"},
		},
	},
	"ADMIN_KEY": {
		publish: []use{
			{"$JS.API.STREAM.PURGE.STATUS", "$JS.API.STREAM.PURGE.STATUS"},
		},
		subscribe: []use{
			{"admin.>", "admin.conversation.create.operator"},
			{"$SRV.>", "$SRV.PING"},
			{"_INBOX_admin.>", "_INBOX_admin.abc.1"},
		},
	},
	"DIRECTORY_KEY": {
		publish: []use{
			{"$KV.directory.>", "$KV.directory.c1"},
			{"$JS.API.STREAM.INFO.KV_directory", "$JS.API.STREAM.INFO.KV_directory"},
			{"$JS.API.CONSUMER.CREATE.KV_directory.>", "$JS.API.CONSUMER.CREATE.KV_directory.w.$KV.directory.c1"},
			{"$JS.API.CONSUMER.MSG.NEXT.KV_directory.*", "$JS.API.CONSUMER.MSG.NEXT.KV_directory.w"},
			{"$JS.API.CONSUMER.DELETE.KV_directory.*", "$JS.API.CONSUMER.DELETE.KV_directory.w"},
		},
		subscribe: []use{{"_INBOX_directory.>", "_INBOX_directory.abc.1"}},
	},
	"PRESENCE_KEY": {
		publish: []use{
			{"presence.*", "presence.c1"},
			{"presence.node.*", "presence.node.snapshot"},
		},
		subscribe: []use{{"presence.node.*", "presence.node.snapshot"}},
	},
	"AUDIT_KEY": {
		publish:   []use{{"audit.*", "audit.denied"}, {"audit.admin.*", "audit.admin.kicked"}},
		subscribe: []use{{"_INBOX_audit.>", "_INBOX_audit.abc.1"}},
	},
	"MARKS_KEY": {
		publish: []use{
			{"marks.*", "marks.node"},
			{"$JS.API.STREAM.INFO.MARKS", "$JS.API.STREAM.INFO.MARKS"},
			{"$JS.API.DIRECT.GET.MARKS", "$JS.API.DIRECT.GET.MARKS"},
		},
		subscribe: []use{{"_INBOX_marks.>", "_INBOX_marks.abc.1"}},
	},
	"STREAMS_KEY": {
		publish: []use{
			{"$JS.API.INFO", "$JS.API.INFO"},
			{"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.INFO.AUDIT"},
			{"$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.CREATE.STATUS"},
			{"$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.UPDATE.STATUS"},
		},
		subscribe: []use{{"_INBOX_streams.>", "_INBOX_streams.abc.1"}},
	},
	"CALLOUT_KEY": {
		subscribe: []use{{"$SYS.REQ.USER.AUTH", login}},
	},
	"SYSTEM_KEY": {
		publish: []use{
			{"$SYS.REQ.USER.INFO", "$SYS.REQ.USER.INFO"},
			{"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING"},
			{"$SYS.REQ.SERVER.PING.*", "$SYS.REQ.SERVER.PING.CONNZ"},
			{"$SYS.REQ.SERVER.*.IDZ", "$SYS.REQ.SERVER.N1.IDZ"},
			{"$SYS.REQ.SERVER.*.STATSZ", "$SYS.REQ.SERVER.N1.STATSZ"},
			{"$SYS.REQ.SERVER.*.VARZ", "$SYS.REQ.SERVER.N1.VARZ"},
			{"$SYS.REQ.SERVER.*.CONNZ", "$SYS.REQ.SERVER.N1.CONNZ"},
			{"$SYS.REQ.SERVER.*.SUBSZ", "$SYS.REQ.SERVER.N1.SUBSZ"},
			{"$SYS.REQ.SERVER.*.ROUTEZ", "$SYS.REQ.SERVER.N1.ROUTEZ"},
			{"$SYS.REQ.SERVER.*.ACCOUNTZ", "$SYS.REQ.SERVER.N1.ACCOUNTZ"},
			{"$SYS.REQ.SERVER.*.ACCSTATZ", "$SYS.REQ.SERVER.N1.ACCSTATZ"},
			{"$SYS.REQ.SERVER.*.JSZ", "$SYS.REQ.SERVER.N1.JSZ"},
			{"$SYS.REQ.SERVER.*.HEALTHZ", "$SYS.REQ.SERVER.N1.HEALTHZ"},
			{"$SYS.REQ.SERVER.*.KICK", "$SYS.REQ.SERVER.N1.KICK"},
			{"$SYS.REQ.ACCOUNT.*.*", "$SYS.REQ.ACCOUNT.STATUS.CONNZ"},
		},
		subscribe: []use{
			{"$SYS.ACCOUNT.>", "$SYS.ACCOUNT.STATUS.CONNECT"},
			{"$SYS.SERVER.>", "$SYS.SERVER.N1.STATSZ"},
			{"_INBOX.>", "_INBOX.abc.1"},
		},
	},
}

// login stands for a connection that only the callout can decide: nobody else may
// publish its subject.
const login = "a login"

// witnessed is an engine with one unrestricted user in each account, who sees what
// the others publish and publishes what they shall hear.
type witnessed struct {
	*engine.Engine
	witness map[string]*nats.Conn // by account
}

func startWitnessed(t *testing.T) witnessed {
	t.Helper()
	kp := map[string]nkeys.KeyPair{}
	text := string(statuswire.DefaultNATSConfig())
	for _, account := range []string{"STATUS", "AUTH", "SYS"} {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		kp[account] = pair
		head, tail, ok := strings.Cut(text, "\n  "+account+" {\n")
		if !ok {
			t.Fatalf("no account %s in nats.conf", account)
		}
		text = head + "\n  " + account + " {\n" + strings.Replace(tail, "users: [", "users: [ { nkey: "+public+" }", 1)
		text = strings.Replace(text, "auth_users: [", "auth_users: ["+public+", ", 1)
	}
	opts := options(t)
	opts.Config = []byte(text)
	w := witnessed{Engine: start(t, opts), witness: map[string]*nats.Conn{}}
	for account, pair := range kp {
		w.witness[account] = dial(t, w.Engine, pair)
	}
	return w
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
			witness := w.witness[u.Account.Name]
			for _, p := range want.publish {
				if err := carries(witness, seenAs(p.subject), nc, p.subject); err != nil {
					t.Errorf("publish on %s for the line %q: %v%s", p.subject, p.line, err, pending(violations))
				}
			}
			for _, s := range want.subscribe {
				if s.subject == login {
					w.hearLogin(t, nc, s.line)
					continue
				}
				if err := carries(nc, s.line, witness, s.subject); err != nil {
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
				"ingest.c1.engine", "edge.c1.join.alice", "presence.c1", "audit.denied", "$KV.directory.c1",
				"$JS.API.STREAM.PURGE.STATUS", "$JS.API.STREAM.DELETE.STATUS", "$JS.API.STREAM.DELETE.AUDIT",
				"$JS.API.STREAM.UPDATE.STATUS", "$JS.API.STREAM.MSG.DELETE.STATUS", "$SYS.REQ.SERVER.N1.RELOAD",
			},
			subscribe: []string{">", "submit.*.*", "ingest.*.*", "edge.*.*", "edge.*.*.*", "admin.>", "_INBOX_gateway.>", "$SYS.>", "$KV.>"},
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
			publish:   []string{"status.c1.engine", "submit.c1.engine", "edge.c1.join.alice", "audit.denied", "$JS.API.INFO", "_INBOX_gateway.abc.1"},
			subscribe: []string{">", "status.*.*", "ingest.*.*", "_INBOX.>", "edge.*.*"},
		},
		"EDGE_KEY": {
			publish:   []string{"status.c1.engine", "ingest.c1.engine", "edge.c1.join.alice", "_INBOX_gateway.abc.1", "$JS.API.DIRECT.GET.AUDIT", "$JS.API.STREAM.INFO.AUDIT", "$JS.API.STREAM.PURGE.STATUS"},
			subscribe: []string{">", "status.*.*", "admin.>", "_INBOX.>", "_INBOX_gateway.>"},
		},
		"ADMIN_KEY": {
			publish:   []string{"status.c1.engine", "ingest.c1.engine", "edge.c1.join.alice", "$JS.API.STREAM.DELETE.STATUS", "$JS.API.STREAM.PURGE.AUDIT", "$JS.API.STREAM.PURGE.KV_directory"},
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
		"CALLOUT_KEY": {
			publish:   []string{"$SYS.REQ.USER.AUTH", "status.c1.engine", "x"},
			subscribe: []string{">", "_INBOX.>", "$SYS.>"},
		},
		"SYSTEM_KEY": {
			publish: []string{
				"$SYS.REQ.SERVER.N1.RELOAD", "$SYS.REQ.SERVER.N1.PROFILEZ", "$SYS.REQ.SERVER.N1.LDM",
				"$SYS.REQ.USER.AUTH", "$SYS.REQ.CLAIMS.UPDATE", "$SYS.ACCOUNT.STATUS.CONNECT", "$JS.API.SERVER.REMOVE", "status.c1.engine",
			},
			subscribe: []string{">", "$SYS.>", "$SYS.REQ.>", "$SYS.REQ.USER.AUTH", "status.*.*"},
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

func TestResponsesAreCountedWhereOneIsEnough(t *testing.T) {
	w := startWitnessed(t)
	for _, c := range []struct {
		user, subject, request string
		want                   int
	}{
		{"EDGE_KEY", "edge.*.*", "edge.c1.history", 3},
		{"ADMIN_KEY", "admin.>", "admin.conversation.list", 3},
		{"BROADCASTER_KEY", "submit.*.*", "status.c1.engine", 3},
	} {
		t.Run(c.user, func(t *testing.T) {
			nc, _ := w.as(t, c.user)
			_, err := nc.Subscribe(c.subject, func(m *nats.Msg) {
				for range 3 {
					m.Respond([]byte("part"))
				}
				nc.Publish("barrier", nil) // denied, after the responses
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			asker := w.witness["STATUS"]
			inbox := asker.NewInbox()
			sub, err := asker.SubscribeSync(inbox)
			if err != nil {
				t.Fatal(err)
			}
			if err := asker.PublishRequest(c.request, inbox, nil); err != nil {
				t.Fatal(err)
			}
			got := 0
			for {
				if _, err := sub.NextMsg(300 * time.Millisecond); err != nil {
					break
				}
				got++
			}
			if got != c.want {
				t.Errorf("%d responses arrived, want %d", got, c.want)
			}
		})
	}
}
