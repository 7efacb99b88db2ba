package app_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/status"
)

// stored are the streams that nothing but their own parts may change.
var stored = []string{"STATUS", "AUDIT", "AUDIT_ADMIN", "MARKS", "KV_directory", "KV_keys"}

// holder is somebody who has a key: what it may publish is read from nats.conf as it
// is in force, so that a permission that is added is in the table by itself.
type holder struct {
	name    string
	key     nkeys.KeyPair
	inbox   string
	publish []string
}

// site is a whole server with something in each stream, and all kinds of keys.
type site struct {
	app      *app.App
	dir      string
	serverID string
	operator *nats.Conn
	system   *nats.Conn
	js       jetstream.JetStream
	admin    *admin.Client
	holders  []holder
}

func startSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	// The first mark of a subject is written at once; not again while this runs.
	s.app = newApp(t, app.Options{DataDir: s.dir, Marks: mark.Options{WriteEvery: time.Hour}})
	start(t, s.app)
	set, err := keys.Load(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.operator = s.dial(t, set.Operator, status.InboxOperator)
	s.system = s.dial(t, set.System, status.InboxSystem)
	s.serverID = s.operator.ConnectedServerId()
	if s.js, err = jetstream.New(s.operator); err != nil {
		t.Fatal(err)
	}
	s.admin = admin.NewClient(s.operator, admin.OperatorName)
	s.fill(t, set)

	patterns, err := engine.New(engine.Options{Keys: set, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	allowed := func(role string) []string {
		_, p, err := patterns.Pattern(role)
		if err != nil {
			t.Fatal(err)
		}
		return p.Pub.Allow
	}
	s.holders = []holder{
		{"service", set.Service, status.ReplyDefault, allowed("service")},
		{"operator", set.Operator, status.InboxOperator, allowed("operator")},
		{"system", set.System, status.InboxSystem, s.mayPublish(t, s.system)},
	}
	for _, k := range []struct {
		name, role string
		categories []status.Category
	}{{"ann", "operator", nil}, {"eye", "viewer", nil}, {"ci", "service", nil}, {"of-tools", "service", []status.Category{"tool"}}} {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.admin.CreateKey(t.Context(), admin.CreateKeyRequest{Name: k.name, Role: k.role, Public: public, Categories: k.categories}); err != nil {
			t.Fatal(err)
		}
		h := holder{"the named " + k.role + " " + k.name, pair, status.ReplyKey + "." + k.name, nil}
		for _, subject := range allowed(k.role) {
			h.publish = append(h.publish, strings.Replace(subject, "."+k.role, "."+k.name, 1))
		}
		s.holders = append(s.holders, h)
	}
	return s
}

func (s *site) dial(t *testing.T, key nkeys.KeyPair, inbox string) *nats.Conn {
	t.Helper()
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.app.Endpoints().NATS, nats.Nkey(public, key.Sign), nats.CustomInboxPrefix(inbox),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // violations are what is wanted
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// mayPublish asks the server what the connection may.
func (s *site) mayPublish(t *testing.T, nc *nats.Conn) []string {
	t.Helper()
	m, err := nc.Request("$SYS.REQ.USER.INFO", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Data struct {
			Permissions struct {
				Publish struct{ Allow []string }
			}
		}
	}
	if err := json.Unmarshal(m.Data, &info); err != nil || len(info.Data.Permissions.Publish.Allow) == 0 {
		t.Fatalf("%s: %v", m.Data, err)
	}
	return info.Data.Permissions.Publish.Allow
}

// fill puts something into each stream.
func (s *site) fill(t *testing.T, set *keys.Set) {
	t.Helper()
	for _, id := range []status.ConversationID{"c1", "c2"} {
		if _, err := s.admin.Create(t.Context(), admin.CreateRequest{ID: id, Owner: "alice"}); err != nil {
			t.Fatal(err)
		}
	}
	js, err := jetstream.New(s.dial(t, set.Service, status.ReplyDefault))
	if err != nil {
		t.Fatal(err)
	}
	if nc, err := nats.Connect(s.app.Endpoints().WS, nats.Token("no token")); err == nil {
		nc.Close()
		t.Fatal("a browser without a good token is let in")
	}
	token, err := identity.Issue(set.TokenSecret, "alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	browser, err := nats.Connect(s.app.Endpoints().WS, nats.Token(token), nats.Name("b6f7a1de-0b2c-4c7c-9b2e-2c7f3d1a55aa"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(browser.Close)
	if _, err := browser.SubscribeSync("status.c1.engine"); err != nil {
		t.Fatal(err)
	}
	for _, category := range []string{"engine", "tool", "engine"} {
		if _, err := js.Publish(t.Context(), "status.c1."+category, []byte(`{"text":"hi"}`)); err != nil {
			t.Fatal(err)
		}
	}
	for _, stream := range []string{"STATUS", "AUDIT", "AUDIT_ADMIN", "MARKS", "KV_directory"} {
		for s.state(t, stream).State.Msgs == 0 {
			time.Sleep(10 * time.Millisecond) // it is on its way
		}
	}
}

func (s *site) state(t *testing.T, stream string) *jetstream.StreamInfo {
	t.Helper()
	st, err := s.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatalf("the stream %s: %v", stream, err)
	}
	return st.CachedInfo()
}

// picture is all that is stored, byte for byte.
func (s *site) picture(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range stored {
		if name == "KV_keys" {
			continue // operators do not read it
		}
		info := s.state(t, name)
		config, err := json.Marshal(info.Config)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = fmt.Sprintf("%s; %d messages, %d bytes, %d to %d", config, info.State.Msgs, info.State.Bytes, info.State.FirstSeq, info.State.LastSeq)
		if name == "KV_directory" {
			continue // by its keys, below
		}
		h := sha256.New()
		for seq := max(1, info.State.FirstSeq); seq <= info.State.LastSeq; seq++ {
			m, err := s.operator.Request("$JS.API.DIRECT.GET."+name, fmt.Appendf(nil, `{"seq":%d}`, seq), 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(h, "%s %q %q\n", m.Header.Get("Nats-Subject"), m.Header, m.Data)
		}
		all[name] += fmt.Sprintf(", %x", h.Sum(nil))
	}
	conversations, err := s.admin.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	named, err := s.admin.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all["conversations"], all["keys"] = fmt.Sprintf("%+v", conversations), fmt.Sprintf("%+v", named)
	for _, id := range []string{"c1", "c2"} {
		m, err := s.operator.Request("$JS.API.DIRECT.GET.KV_directory.$KV.directory."+id, nil, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		all["entry of "+id] = string(m.Data)
	}
	return all
}

// caughtUp waits until what was sent before has been taken by everybody who answers,
// so that nothing is dropped for being too much at once.
func (s *site) caughtUp(t *testing.T) {
	t.Helper()
	for _, subject := range []string{"admin.conversation.list", "edge.c1.join", "$JS.API.STREAM.INFO.STATUS", "$JS.API.CONSUMER.CREATE.STATUS.x", "$JS.API.CONSUMER.CREATE.AUDIT.x"} {
		for deadline := time.Now().Add(time.Minute); ; { // too many at once: some get no answer
			if _, err := s.operator.Request(subject, nil, time.Second); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("%s: %v", subject, err)
			}
		}
	}
}

// settled waits until nothing is under way: JetStream has no request, and every part
// has answered one that came later than all.
func (s *site) settled(t *testing.T) {
	t.Helper()
	for range 3 {
		for deadline := time.Now().Add(time.Minute); ; {
			m, err := s.system.Request("$SYS.REQ.SERVER."+s.serverID+".JSZ", nil, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			var jsz struct {
				Data struct {
					API struct{ Inflight, Pending int }
				}
			}
			if err := json.Unmarshal(m.Data, &jsz); err != nil {
				t.Fatal(err)
			}
			if jsz.Data.API.Inflight == 0 && jsz.Data.API.Pending == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("JetStream does not end: %s", m.Data)
			}
		}
		s.caughtUp(t)
	}
}

// subjects are those that the patterns of an allow list stand for: every literal
// that somebody answers, and for what nobody has thought of everything.
func (s *site) subjects(patterns []string) []string {
	var all []string
	for _, p := range patterns {
		all = append(all, s.expand(nil, strings.Split(p, "."))...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *site) expand(before, rest []string) []string {
	if len(rest) == 0 {
		return []string{strings.Join(before, ".")}
	}
	var all []string
	for _, token := range s.tokens(strings.Join(before, "."), rest[0]) {
		all = append(all, s.expand(append(slices.Clone(before), strings.Split(token, ".")...), rest[1:])...)
	}
	return all
}

// tokens are what a token of a pattern can be behind what is before it.
func (s *site) tokens(before, token string) []string {
	if token != "*" && token != ">" {
		return []string{token}
	}
	var consumers []string
	for _, stream := range stored {
		consumers = append(consumers, stream+".view", stream+".view.>", stream+".gone")
	}
	monitors := []string{"CONNZ", "STATSZ", "JSZ", "ACCOUNTZ", "HEALTHZ", "PROFILEZ", "INFO"}
	switch {
	case before == "submit", before == "edge":
		return []string{"c1", "nobody"}
	case strings.HasPrefix(before, "submit."):
		return []string{"engine", "tool", "nonsense"}
	case strings.HasPrefix(before, "edge."):
		return status.EdgeVerbs()
	case strings.HasPrefix(before, "admin."):
		return []string{"create", "show", "add", "remove", "list", "delete", "import", "retire", "kick", "end"}
	case before == "$SRV":
		return []string{"PING", "PING.edge", "INFO.admin", "STATS"}
	case strings.HasPrefix(before, "$SRV."):
		return []string{"edge", "admin", "nobody"}
	case before == "$JS.API.CONSUMER.CREATE":
		return consumers
	case before == "$JS.API.DIRECT.GET":
		return append(slices.Clone(stored), "STATUS.status.c1.engine", "STATUS.status.nobody.engine", "AUDIT.audit.denied", "KV_directory.$KV.directory.c1", "KV_directory.$KV.directory.nobody")
	case before == "$JS.ACK":
		return []string{"STATUS.view.1.1.1.1.0"}
	case before == "$SYS.REQ.SERVER":
		return []string{s.serverID, "PING"}
	case before == "$SYS.REQ.SERVER.PING":
		return monitors
	case before == "$SYS.REQ.ACCOUNT":
		return []string{"STATUS", "STATE", "PING"}
	case strings.HasPrefix(before, "$SYS.REQ.ACCOUNT."):
		return monitors
	case strings.HasPrefix(before, "$JS.API.CONSUMER.DELETE."):
		return []string{"gone", "nobody"}
	case slices.ContainsFunc(stored, func(stream string) bool { return strings.HasSuffix(before, "."+stream) }):
		return []string{"view", "nobody"}
	case strings.HasPrefix(before, "$JS.API."):
		return stored
	}
	// Not thought of: all of it.
	return slices.Concat(stored, consumers, monitors, status.EdgeVerbs(), []string{"c1", "nobody", "denied", "admin.kicked", s.serverID})
}

// dangerous are reply subjects where an answer would be taken for something else.
func (s *site) dangerous() []string {
	all := []string{
		"audit.denied", "audit.admin.kicked", "marks.x", "$KV.directory.c1", "$KV.directory.mallorys", "$KV.keys.mallory", "ingest.c1.engine",
		"status.c1.engine", "submit.c1.engine", "presence.c1", "presence.node.diff", "presence.node.snapshot", "directory.changed.c1",
		"edge.c1.history", "edge.c1.join.alice", "edge.c1.flow.x", "gateway.token", "consumer.create.AUDIT.x",
		"admin.conversation.delete", "admin.conversation.delete.operator", "admin.session.kick.operator", "admin.key.end.operator", "$SRV.PING",
		"_INBOX_gateway.x.y", "_INBOX_directory.x.y", "_INBOX_audit.x.y", "_R_.x.y",
		"$JS.API.ACCOUNT.PURGE.STATUS", "$JS.API.ACCOUNT.PURGE.STATE", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE",
		"$SYS.REQ.SERVER." + s.serverID + ".RELOAD", "$SYS.REQ.SERVER." + s.serverID + ".KICK", "$SYS.REQ.SERVER." + s.serverID + ".LDM", "$SYS.REQ.CLAIMS.UPDATE",
	}
	for _, stream := range stored {
		for _, verb := range []string{"DELETE", "PURGE", "UPDATE", "CREATE", "RESTORE", "SNAPSHOT", "MSG.DELETE", "LEADER.STEPDOWN"} {
			all = append(all, "$JS.API.STREAM."+verb+"."+stream)
		}
	}
	return all
}

// payloads are good and bad ones, found and not found; what would be done for a good
// reason, such as to delete a conversation that is there, is not among them.
func payloads(subject, reply string) []string {
	all := []string{"", "{}", "no JSON"}
	switch {
	case strings.HasPrefix(subject, "submit."):
		all = append(all, `{"text":"hi"}`)
	case strings.Contains(subject, "CONSUMER.CREATE"):
		tokens := strings.Split(subject, ".")
		config := `{"stream_name":"` + tokens[4] + `","config":{"name":"` + tokens[5] + `","inactive_threshold":60000000000,"ack_policy":"none","deliver_policy":"all","replay_policy":"instant"%s}}`
		if len(tokens) > 6 {
			config = strings.Replace(config, "%s", `,"filter_subject":">"%s`, 1)
		}
		if tokens[5] == "view" { // one that pulls cannot be changed into one that pushes
			return append(all, fmt.Sprintf(config, ""))
		}
		all = append(all, fmt.Sprintf(config, `,"deliver_subject":"`+reply+`"`), fmt.Sprintf(config, `,"headers_only":true,"deliver_subject":"`+reply+`"`))
	case strings.Contains(subject, "CONSUMER.MSG.NEXT"):
		all = append(all, `{"batch":5,"no_wait":true}`)
	case strings.Contains(subject, ".GET."):
		all = append(all, `{"seq":1}`, `{"seq":99999999}`, `{"last_by_subj":"status.c1.engine"}`, `{"multi_last":["status.>","audit.>"]}`, `{"next_by_subj":">","batch":5}`)
	case strings.HasPrefix(subject, "edge."):
		all = append(all, `{"after":0}`, `{"after":99999999}`)
	case strings.HasPrefix(subject, "admin."):
		all = append(all, `{"id":"nobody","member":"mallory","category":"x"}`, `{"limit":1}`)
	}
	return all
}

// Every key × every subject that it may publish × every dangerous reply subject.
func TestNoAnswerChangesWhatIsStored(t *testing.T) {
	s := startSite(t)
	s.settled(t)
	before := s.picture(t)
	for _, h := range s.holders {
		t.Run(h.name, func(t *testing.T) {
			nc := s.dial(t, h.key, h.inbox)
			// A consumer that pushes does so only while somebody hears its subject:
			// by what an operator hears, a record of one stream would come into another.
			for _, subject := range []string{"status.>", "presence.>", "audit.>", "$JS.EVENT.>", "$SYS.ACCOUNT.>", "$SYS.SERVER.>"} {
				if _, err := nc.Subscribe(subject, func(*nats.Msg) {}); err != nil {
					t.Fatal(err)
				}
			}
			sent := 0
			for _, subject := range s.subjects(h.publish) {
				for _, reply := range s.dangerous() {
					for _, payload := range payloads(subject, reply) {
						if err := nc.PublishRequest(subject, reply, []byte(payload)); err != nil {
							t.Fatal(err)
						}
						if sent++; sent%50 == 0 {
							if err := nc.FlushTimeout(time.Minute); err != nil {
								t.Fatal(err)
							}
							s.caughtUp(t)
						}
					}
				}
			}
			if err := nc.FlushTimeout(time.Minute); err != nil {
				t.Fatal(err)
			}
			s.settled(t)
			after := s.picture(t)
			for name, was := range before {
				if is := after[name]; is != was {
					t.Errorf("%s was\n%s\nand is\n%s", name, was, is)
				}
			}
			t.Logf("%d messages on %d subjects", sent, len(s.subjects(h.publish)))
			before = after
		})
	}
}
