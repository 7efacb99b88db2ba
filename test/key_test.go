//go:build e2e

package test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// connectNamed connects as the named key's client does: with its inbox prefix.
// Violations of its permissions come on the channel.
func connectNamed(t testing.TB, s *statuswire, name string, opts ...nats.Option) (*nats.Conn, chan error) {
	t.Helper()
	refused := make(chan error, 64)
	return connectAs(t, s, name, append([]nats.Option{
		nats.CustomInboxPrefix("_INBOX_key." + name),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }),
	}, opts...)...), refused
}

// lets tells whether the server lets the connection do it: "pub SUBJECT" or "sub
// SUBJECT". The server says what it does not let through before it answers a PING.
func lets(t testing.TB, nc *nats.Conn, what string) bool {
	t.Helper()
	before := nc.LastError()
	verb, subject, _ := strings.Cut(what, " ")
	var sub *nats.Subscription
	var err error
	switch verb {
	case "pub":
		err = nc.Publish(subject, []byte("{}"))
	case "sub":
		sub, err = nc.SubscribeSync(subject)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if sub != nil {
		defer sub.Unsubscribe()
	}
	return nc.LastError() == before // each refusal is an error of its own
}

// roles are what each kind of key may do. What is in no list, nobody may.
var roles = []struct {
	key  string
	make []string
	may  []string
}{
	{"boss", []string{"--role", "operator"}, []string{
		"pub admin.conversation.list.$me", "pub admin.conversation.show.$me", "pub admin.session.list.$me", "pub admin.why.$me", "pub admin.key.list.$me",
		"pub admin.conversation.create.$me", "pub admin.conversation.delete.$me", "pub admin.session.kick.$me", "pub admin.key.create.$me", "pub admin.key.end.$me",
		"pub edge.c1.join", "pub edge.c1.history",
		"pub $JS.API.STREAM.INFO.STATUS", "pub $JS.API.STREAM.INFO.AUDIT", "pub $SRV.PING",
		"sub status.>", "sub status.*.*", "sub status.*.engine", "sub status.c1.engine", "sub presence.c1", "sub audit.>", "sub _INBOX_key.boss.x",
	}},
	{"eye", []string{"--role", "viewer"}, []string{
		"pub admin.conversation.list.$me", "pub admin.conversation.show.$me", "pub admin.session.list.$me", "pub admin.why.$me", "pub admin.key.list.$me",
		"pub edge.c1.join", "pub edge.c1.history",
		"pub $JS.API.STREAM.INFO.STATUS", "pub $JS.API.STREAM.INFO.AUDIT", "pub $SRV.PING",
		"sub status.>", "sub status.*.*", "sub status.*.engine", "sub status.c1.engine", "sub presence.c1", "sub audit.>", "sub _INBOX_key.eye.x",
	}},
	{"ci", []string{"--role", "service"}, []string{
		"pub status.c1.engine", "pub status.c1.tool", "sub status.c1.engine", "sub status.*.engine", "sub status.*.*", "sub presence.c1", "sub _INBOX_key.ci.x",
	}},
	{"engine", []string{"--role", "service", "--category", "engine"}, []string{
		"pub status.c1.engine", "sub status.c1.engine", "sub status.*.engine", "sub _INBOX_key.engine.x",
	}},
}

// of is what the key of that name does: $me is its name.
func of(key, what string) string { return strings.ReplaceAll(what, "$me", key) }

// nobodyMay is what none of them may do.
var nobodyMay = []string{
	"pub admin.conversation.create", "pub admin.conversation.list", "pub admin.why", "pub admin.key.create.operator", "pub admin.key.list.other",
	"pub admin.conversation.delete.$me.operator", "pub admin.why.operator", "pub admin.$me",
	"pub edge.c1.join.alice", "pub ingest.c1.engine", "pub presence.c1", "pub audit.denied", "pub audit.admin.changed", "pub _INBOX.x", "pub _INBOX_key.ci.x",
	"pub $KV.keys.eye", "pub $KV.directory.c1", "pub marks.x", "pub $SYS.REQ.USER.AUTH",
	"pub $JS.API.STREAM.PURGE.STATUS", "pub $JS.API.STREAM.DELETE.AUDIT", "pub $JS.API.STREAM.DELETE.KV_keys", "pub $JS.API.STREAM.UPDATE.STATUS",
	"pub $JS.API.STREAM.MSG.DELETE.STATUS",
	"sub >", "sub submit.*.*", "sub ingest.>", "sub admin.>", "sub edge.>", "sub $KV.>", "sub $SYS.>", "sub _R_.>",
	"sub _INBOX_operator.>", "sub _INBOX_gateway.>", "sub _INBOX_keys.>", "sub _INBOX_key.>", "sub _INBOX_key.*.x", "sub _INBOX_key.other.x", "sub _INBOX.>", "sub _INBOX.x",
}

func TestEachRoleCanDoWhatItMayAndNothingElse(t *testing.T) {
	s := startStatuswire(t)
	everything := append([]string{}, nobodyMay...)
	for _, r := range roles {
		s.run(t, append([]string{"key", "create", r.key}, r.make...)...)
		everything = append(everything, r.may...)
	}
	slices.Sort(everything)
	everything = slices.Compact(everything)
	for _, r := range roles {
		t.Run(r.key, func(t *testing.T) {
			may := map[string]bool{}
			for _, what := range r.may {
				may[of(r.key, what)] = true
			}
			nc, _ := connectNamed(t, s, r.key)
			for _, what := range everything {
				what = of(r.key, what)
				if got := lets(t, nc, what); got != may[what] {
					t.Errorf("%s: allowed is %v, want %v", what, got, may[what])
				}
			}
		})
	}
}

func TestAServiceOfOneCategoryPublishesThatOnly(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	s.run(t, "key", "create", "engine", "--role", "service", "--category", "engine")
	s.run(t, "key", "create", "other", "--role", "service")
	nc, refused := connectNamed(t, s, "engine")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	statuses, err := nc.SubscribeSync("status.*.engine")
	if err != nil {
		t.Fatal(err)
	}
	if ack, err := js.Publish(t.Context(), "status.c1.engine", []byte(`{"text":"hi"}`)); err != nil || ack.Stream != "STATUS" {
		t.Errorf("its category: %+v, %v", ack, err)
	}
	if _, err := js.Publish(t.Context(), "status.nowhere.engine", []byte(`{"text":"hi"}`)); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a conversation that is none: %v, want the reason in the answer", err)
	}
	if m, err := statuses.NextMsg(cliTimeout); err != nil || m.Subject != "status.c1.engine" {
		t.Errorf("it hears %v, %v", m, err)
	}
	if err := nc.Publish("status.c1.tool", []byte(`{"text":"hi"}`)); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !strings.Contains(err.Error(), `Permissions Violation for Publish to "submit.c1.tool"`) {
		t.Errorf("another category: %v", err)
	}
	if n := s.stored(t); n != 1 {
		t.Errorf("%d are stored, want the one", n)
	}
}

func TestAKeyEndsWhileItsClientIsConnected(t *testing.T) {
	s := startStatuswire(t)
	cli := newNATSCLI(t, s)
	s.run(t, "key", "create", "ci", "--role", "service")
	s.run(t, "key", "create", "eye", "--role", "viewer")
	file := filepath.Join(s.DataDir, "keys", "ci.nk")
	seed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc, _ := connectNamed(t, s, "ci", nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	stays, _ := connectNamed(t, s, "eye")
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	cli.run(t, "--context", "ci", "rtt")

	out := s.run(t, "key", "end", "ci")
	wantIn(t, "key end", out, "ended ci", file)
	select {
	case <-closed:
	case <-time.After(cliTimeout):
		t.Error("its connection stays")
	}
	if err := stays.Flush(); err != nil {
		t.Errorf("another key's connection: %v", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the seed of no use is still there: %v", err)
	}
	if out, err := cli.try(t, "--context", "ci", "rtt"); err == nil {
		t.Errorf("the context is still there:\n%s", out)
	}
	// Whoever kept the seed does not get in.
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	option, err := nats.NkeyOptionFromSeed(file)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := nats.Connect(s.NATS, option, nats.MaxReconnects(0)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the seed logs in: %v, %v", again, err)
	}
	s.wantAct(t, `"reason":"key ended: ci"`)
	s.wantAudit(t, `"reason":"this key is not known, has ended, or did not sign the server's nonce"`)
	if strings.Contains(s.Log(), strings.TrimSpace(string(seed))) {
		t.Error("the log shows the seed")
	}
}

func TestKeysOutliveARestartOnAnotherPort(t *testing.T) {
	dir := t.TempDir()
	s := startStatuswireIn(t, dir)
	s.run(t, "key", "create", "eye", "--role", "viewer")
	s.run(t, "key", "create", "gone", "--role", "viewer")
	s.run(t, "key", "end", "gone")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	again := startStatuswireIn(t, dir)
	if again.NATS == s.NATS {
		t.Fatal("the port is the same, which proves nothing")
	}
	out := newNATSCLI(t, again).run(t, "--context", "eye", "req", "admin.key.list.eye", "{}", "--raw")
	wantIn(t, "admin.key.list", out, `"name":"eye"`)
	if strings.Contains(out, "gone") {
		t.Errorf("the ended key is back: %s", out)
	}
}

func TestTheSeedIsMadeOnceAndStays(t *testing.T) {
	s := startStatuswire(t)
	var made struct{ Name, Role, Public, File, Inbox_prefix string }
	if err := json.Unmarshal([]byte(s.run(t, "key", "create", "ci", "--role", "service", "--category", "tool", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{made.File, filepath.Join(s.DataDir, "nats", "context", "ci.json")} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", file, info, err)
		}
	}
	if made.Inbox_prefix != "_INBOX_key.ci" || !strings.HasPrefix(made.Public, "U") {
		t.Errorf("it prints %+v", made)
	}
	seed, err := os.ReadFile(made.File)
	if err != nil {
		t.Fatal(err)
	}
	for what, args := range map[string][]string{
		"the name is taken here":         {"key", "create", "ci", "--role", "viewer"},
		"a category for a viewer":        {"key", "create", "a", "--role", "viewer", "--category", "tool"},
		"the name of a key of DIR/keys":  {"key", "create", "service", "--role", "viewer"},
		"a path for a name":              {"key", "create", "../a", "--role", "viewer"},
		"no role":                        {"key", "create", "a"},
		"an end of a key of DIR/keys":    {"key", "end", "operator"},
		"an end of nobody":               {"key", "end", "nobody"},
		"a key to use that is not there": {"key", "list", "--as", "nobody"},
	} {
		r := s.command(t, "", args...)
		if r.code == 0 || r.err == "" {
			t.Errorf("%s: exit code %d, %q", what, r.code, r.err)
		}
		if strings.Contains(r.err+r.out, strings.TrimSpace(string(seed))) {
			t.Errorf("%s: it shows the seed", what)
		}
	}
	// Taken on the server, by a seed that is not here.
	if err := os.Rename(made.File, made.File+".away"); err != nil {
		t.Fatal(err)
	}
	if r := s.command(t, "", "key", "create", "ci", "--role", "service"); r.code == 0 || !strings.Contains(r.err, "exists already") {
		t.Errorf("a name that is taken there: %+v", r)
	}
	entries, err := os.ReadDir(filepath.Join(s.DataDir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got, want := fmt.Sprint(names), "[ci.nk.away issuer.nk operator.nk service.nk system.nk token.secret xkey.nk]"; got != want {
		t.Errorf("in DIR/keys there are %s, want %s", got, want)
	}
	after, err := os.ReadFile(made.File + ".away")
	if err != nil || !bytes.Equal(after, seed) {
		t.Errorf("the seed has changed: %v", err)
	}
}

func TestAViewerIsToldAtOnceWhatItMayNotDo(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "key", "create", "eye", "--role", "viewer")
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	wantIn(t, "conversation list", s.run(t, "conversation", "list", "--as", "eye"), "c1")
	wantIn(t, "why", s.run(t, "why", "--user", "alice", "--subject", "status.c1.engine", "--as", "eye"), "allowed")
	wantIn(t, "key list", s.run(t, "key", "list", "--as", "eye"), "operator", "in DIR/keys", "eye", "viewer")
	for _, args := range [][]string{
		{"conversation", "create", "c2", "--owner", "alice"},
		{"conversation", "delete", "c1"},
		{"session", "kick", "--user", "alice"},
		{"key", "create", "mine", "--role", "operator"},
		{"key", "end", "eye"},
	} {
		begun := time.Now()
		r := s.command(t, "", append(args, "--as", "eye")...)
		if r.code != 1 || !strings.Contains(r.err, "the key may not do that: eye") {
			t.Errorf("%v: %+v", args, r)
		}
		if took := time.Since(begun); took > cliTimeout {
			t.Errorf("%v: it took %v", args, took)
		}
	}
	if _, err := os.Stat(filepath.Join(s.DataDir, "keys", "mine.nk")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the seed that was refused is still there: %v", err)
	}
}

// Two operators, and each act in the audit with the name of who did it, whatever
// they write into subject and header.
func TestTheAuditNamesTheKeyOfWhoAsked(t *testing.T) {
	s := startStatuswire(t)
	cli := newNATSCLI(t, s)
	for _, name := range []string{"bob", "carol"} {
		s.run(t, "key", "create", name, "--role", "operator")
		s.run(t, "conversation", "create", "by-cli-"+name, "--owner", "alice", "--as", name)
		out := cli.run(t, "--context", name, "req", "admin.conversation.create."+name, `{"id":"by-nats-`+name+`","owner":"alice"}`, "--raw")
		wantIn(t, "nats req", out, `"by-nats-`+name+`"`)
	}
	s.run(t, "session", "kick", "--user", "alice", "--as", "bob")
	out := cli.run(t, "req", "admin.conversation.create", `{"id":"by-dir-keys","owner":"alice"}`, "--raw")
	wantIn(t, "nats req", out, `"by-dir-keys"`)

	// Headers as nats.go writes them, and as it does not: a bare line feed, an end of
	// the header before the end.
	conn, lines := rawLogin(t, s, "bob")
	const claim = `Nats-Request-Info: {"acc":"STATUS","user":"carol"}`
	for i, header := range []string{
		"NATS/1.0\r\n" + claim + "\r\n\r\n",
		"NATS/1.0\r\nA: b\n" + claim + "\r\n\r\n",
		"NATS/1.0\r\nA: b\n" + claim + "\r\n\r\nB: c\r\n\r\n",
		"NATS/1.0\r\nActor: carol\r\n\r\n",
	} {
		body := fmt.Sprintf(`{"id":"forged-%d","owner":"alice"}`, i)
		fmt.Fprintf(conn, "HPUB admin.conversation.create.bob _INBOX_key.bob.x %d %d\r\n%s%s\r\n", len(header), len(header)+len(body), header, body)
		rawUntil(t, lines, fmt.Sprintf(`"forged-%d"`, i))
	}
	for _, subject := range []string{"admin.conversation.create.carol", "admin.conversation.create.operator", "admin.conversation.create"} {
		fmt.Fprintf(conn, "PUB %s 2\r\n{}\r\n", subject)
		rawUntil(t, lines, "Permissions Violation for Publish")
	}
	for conversation, actor := range map[string]string{
		"by-cli-bob": "bob", "by-nats-bob": "bob", "by-cli-carol": "carol", "by-nats-carol": "carol", "by-dir-keys": "operator",
		"forged-0": "bob", "forged-1": "bob", "forged-2": "bob", "forged-3": "bob",
	} {
		record := s.record(t, "AUDIT_ADMIN", `"conversation":"`+conversation+`"`)
		wantIn(t, "the record of "+conversation, record, `"actor":"`+actor+`"`)
	}
	wantIn(t, "the record of the kick", s.record(t, "AUDIT_ADMIN", `"sessions ended`), `"actor":"bob"`)
}

// rawLogin logs in with a named key and leaves the rest to the caller.
func rawLogin(t *testing.T, s *statuswire, name string) (net.Conn, *bufio.Reader) {
	t.Helper()
	seed, err := os.ReadFile(filepath.Join(s.DataDir, "keys", name+".nk"))
	if err != nil {
		t.Fatal(err)
	}
	kp, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		t.Fatal(err)
	}
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.NATS, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(cliTimeout)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	info := rawUntil(t, lines, "INFO ")
	var said struct{ Nonce string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(info, "INFO ")), &said); err != nil {
		t.Fatal(err)
	}
	signature, err := kp.Sign([]byte(said.Nonce))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "CONNECT {\"nkey\":%q,\"sig\":%q,\"headers\":true,\"no_responders\":true,\"verbose\":false,\"protocol\":1}\r\nSUB _INBOX_key.%s.> 1\r\nPING\r\n",
		public, base64.RawURLEncoding.EncodeToString(signature), name)
	rawUntil(t, lines, "PONG")
	return conn, lines
}

// rawUntil reads to the line that has the text.
func rawUntil(t *testing.T, lines *bufio.Reader, text string) string {
	t.Helper()
	var all strings.Builder
	for {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			t.Fatalf("no line with %q: %v; there is\n%s", text, err, all.String())
		}
		if strings.Contains(line, text) {
			return line
		}
	}
}

// Who only looks has all of the nats command line that looks.
func TestAViewerLooksInsideWithTheNATSCommandLine(t *testing.T) {
	s := startStatuswire(t)
	cli := newNATSCLI(t, s)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	s.run(t, "key", "create", "eye", "--role", "viewer")
	cli.run(t, "--context", "service", "req", "status.c1.engine", `{"text":"seen by all"}`)
	for what, args := range map[string][]string{
		"STATUS":               {"stream", "info", "STATUS"},
		"seen by all":          {"stream", "get", "STATUS", "-S", "status.c1.engine"},
		"status.c1.engine":     {"stream", "subjects", "STATUS"},
		"key_created":          {"sub", "--stream", "AUDIT_ADMIN", "audit.>", "--all", "--terminate-at-end", "--raw"},
		`"text":"seen by all"`: {"req", "edge.c1.join", "", "--raw"},
		"admin":                {"micro", "ls"},
		`"sessions":[]`:        {"req", "admin.session.list.eye", "{}", "--raw"},
	} {
		wantIn(t, strings.Join(args, " "), cli.run(t, append([]string{"--context", "eye"}, args...)...), what)
	}
	for _, args := range [][]string{
		{"stream", "purge", "STATUS", "-f"},
		{"stream", "rm", "AUDIT", "-f"},
		{"pub", "-J", "status.c1.engine", `{"text":"not by a viewer"}`},
		{"req", "admin.conversation.delete.eye", `{"id":"c1"}`},
		{"req", "admin.conversation.delete.operator", `{"id":"c1"}`},
	} {
		out, _ := cli.try(t, append([]string{"--context", "eye", "--timeout", "1s"}, args...)...)
		if !strings.Contains(strings.ToLower(out), "permissions violation") {
			t.Errorf("nats %s:\n%s", strings.Join(args, " "), out)
		}
	}
	wantIn(t, "conversation list", s.run(t, "conversation", "list"), "c1")
	if n := s.stored(t); n != 1 {
		t.Errorf("%d statuses are stored, want the one", n)
	}
}
