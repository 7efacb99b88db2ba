package authcallout_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tokenSecret signs the tests' tokens.
var tokenSecret = []byte("a secret of tests, 32 bytes long")

// rig is a real server with the callout, as app wires them.
type rig struct {
	engine   *engine.Engine
	keys     *keys.Set
	sessions *session.Registry
	service  *authcallout.Service
}

// setup is what a test changes of the rig.
type setup struct {
	verifier  authcallout.Verifier
	directory authcallout.Directory
	opts      authcallout.Options
	sealed    bool   // requests are encrypted
	native    string // host:port of the server's own WebSocket listener
	named     *authcallout.NamedKeys
}

func startEngine(tb testing.TB, s setup) (*engine.Engine, *keys.Set) {
	tb.Helper()
	dir := tb.TempDir()
	set, err := keys.Load(dir)
	if err != nil {
		tb.Fatal(err)
	}
	conf := patient(string(statuswire.DefaultNATSConfig()))
	if s.sealed {
		xkey, err := set.XKey.PublicKey()
		if err != nil {
			tb.Fatal(err)
		}
		conf = strings.Replace(conf, "issuer: $ISSUER_KEY", "issuer: $ISSUER_KEY, xkey: "+xkey, 1)
	}
	if s.native != "" {
		conf += fmt.Sprintf("\nwebsocket { listen: %q, no_tls: true }\n", s.native)
	}
	e, err := engine.New(engine.Options{
		Config: []byte(conf), Listen: "127.0.0.1:0", StoreDir: dir, Keys: set, NativeWebSocket: s.native != "",
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(tb, e.Stop) })
	return e, set
}

func start(tb testing.TB, s setup) *rig {
	tb.Helper()
	r := &rig{sessions: session.NewRegistry()}
	r.engine, r.keys = startEngine(tb, s)
	nc, err := r.engine.Connect(engine.PartCallout)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	r.service = r.serve(tb, nc, s)
	return r
}

// On a busy machine two seconds are little. The server of the tests waits
// serverTimeout for the callout, which takes calloutTimeout unless a test says
// otherwise; what has to be at once is done within soon.
const (
	serverTimeout  = 60 * time.Second
	calloutTimeout = 45 * time.Second
	soon           = 30 * time.Second
)

func patient(natsConf string) string {
	return strings.Replace(natsConf, "  timeout: 2\n", fmt.Sprintf("  timeout: %d\n", int(serverTimeout.Seconds())), 1)
}

// serve starts a callout service on nc.
func (r *rig) serve(tb testing.TB, nc *nats.Conn, s setup) *authcallout.Service {
	tb.Helper()
	if s.verifier == nil {
		s.verifier = verifier(tb)
	}
	if s.directory == nil {
		s.directory = conversations{}
	}
	if s.opts.Timeout == 0 {
		s.opts.Timeout = calloutTimeout
	}
	deps := authcallout.Deps{
		ServerID: r.engine.ServerID, Issuer: r.keys.Issuer, Sessions: r.sessions,
		Verifier: s.verifier, Directory: s.directory,
	}
	deps.Named = s.named
	if r.engine.SealsCallouts() {
		deps.XKey = r.keys.XKey
	}
	service, err := authcallout.New(nc, deps, s.opts)
	if err != nil {
		tb.Fatal(err)
	}
	if err := service.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(tb, service.Stop) })
	return service
}

func verifier(tb testing.TB) authcallout.Verifier {
	tb.Helper()
	v, err := identity.NewHS256(identity.HS256Options{Secret: tokenSecret})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func stop(tb testing.TB, stop func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := stop(ctx); err != nil {
		tb.Error(err)
	}
}

// conversations is a directory: alice owns c1 and c2, bob owns c3 and is a
// member of c2. What a conversation is called decides how it answers.
type conversations struct{}

func (conversations) Conversation(ctx context.Context, id status.ConversationID) (directory.Conversation, error) {
	switch id {
	case "c1":
		return directory.Conversation{ID: id, Owner: "alice"}, nil
	case "c2":
		return directory.Conversation{ID: id, Owner: "alice", Members: []status.UserID{"bob"}}, nil
	case "c3":
		return directory.Conversation{ID: id, Owner: "bob"}, nil
	case "broken":
		return directory.Conversation{}, fmt.Errorf("dial 10.0.0.7:5432: %w", directory.ErrUnavailable)
	case "slow":
		<-ctx.Done()
		return directory.Conversation{}, ctx.Err()
	case "panic":
		panic("no such table")
	}
	if strings.HasPrefix(string(id), "many") {
		return directory.Conversation{ID: id, Owner: "alice"}, nil
	}
	return directory.Conversation{}, fmt.Errorf("%q: %w", string(id), directory.ErrNotFound)
}

func (conversations) OfUser(_ context.Context, user status.UserID, limit int) ([]status.ConversationID, error) {
	theirs := map[status.UserID][]status.ConversationID{"alice": {"c1", "c2"}, "bob": {"c2", "c3"}}[user]
	return theirs[:min(limit, len(theirs))], nil
}

// token is the application's own token for a user.
func token(tb testing.TB, user status.UserID, ttl time.Duration) string {
	tb.Helper()
	t, err := identity.Issue(tokenSecret, user, ttl, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// read reads a user JWT as the gateway does.
func (r *rig) read(userJWT string) (*session.Grant, error) {
	issuer, err := r.keys.Issuer.PublicKey()
	if err != nil {
		return nil, err
	}
	return session.Authority{Issuer: issuer, Account: engine.AccountStatus}.Grant(userJWT, time.Now())
}

// link is one connection as the gateway makes it for a browser's CONNECT.
type link struct {
	said   string // what the server said to CONNECT and PING: "PONG" or its -ERR
	jwt    string
	denial *session.Denial
	took   time.Duration
}

var browser = netip.MustParseAddrPort("203.0.113.9:5555")

// connect opens a link, sends CONNECT with the fields and returns the outcome.
func (r *rig) connect(tb testing.TB, ask session.Ask, fields map[string]string) link {
	tb.Helper()
	l, err := r.dial(ask, fields)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func (r *rig) dial(ask session.Ask, fields map[string]string) (link, error) {
	conn, preamble, err := r.engine.DialLink(browser)
	if err != nil {
		return link{}, err
	}
	defer conn.Close()
	key, err := linkKey(preamble)
	if err != nil {
		return link{}, err
	}
	sl, err := r.sessions.Open(key, ask)
	if err != nil {
		return link{}, err
	}
	defer sl.Close()
	begun := time.Now()
	said, err := handshake(conn, fields)
	if err != nil {
		return link{}, err
	}
	out := link{said: said, took: time.Since(begun)}
	out.jwt, out.denial = sl.Verdict()
	return out, nil
}

// linkKey reads the link's key out of the server's INFO.
func linkKey(preamble []byte) (session.Key, error) {
	var info struct {
		ServerID string `json:"server_id"`
		ClientID uint64 `json:"client_id"`
	}
	err := json.Unmarshal(preamble[len("INFO "):], &info)
	return session.Key{ServerID: info.ServerID, ClientID: info.ClientID}, err
}

// handshake sends CONNECT and PING and returns the server's word on it.
func handshake(conn net.Conn, fields map[string]string) (string, error) {
	words, err := converse(conn, fields, nil)
	if err != nil {
		return "", err
	}
	return words[0], nil
}

// converse sends CONNECT, the commands, each followed by PING, and returns what
// the server says to each, CONNECT first: "PONG", an -ERR, or "closed".
func converse(conn net.Conn, fields map[string]string, commands []string) ([]string, error) {
	connect := map[string]any{"verbose": false, "pedantic": false, "lang": "test", "version": "1", "protocol": 1, "headers": true, "no_responders": true}
	for name, value := range fields {
		connect[name] = value
	}
	body, err := json.Marshal(connect)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(serverTimeout + soon)); err != nil {
		return nil, err
	}
	defer conn.Close()
	lines := bufio.NewReader(conn)
	var words []string
	for _, command := range append([]string{"CONNECT " + string(body)}, commands...) {
		var written sync.WaitGroup
		written.Go(func() { fmt.Fprintf(conn, "%s\r\nPING\r\n", command) }) // the pipe is synchronous: we read meanwhile
		word, err := hear(lines)
		if err != nil {
			conn.Close()
		}
		written.Wait()
		if words = append(words, word); err != nil {
			break
		}
	}
	return words, nil
}

// hear reads up to the PONG and returns the error before it, if there is one.
// After a closing error there is no PONG but the end.
func hear(lines *bufio.Reader) (word string, err error) {
	word = "closed"
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "PONG" && word != "closed":
			return word, nil
		case line == "PONG":
			return line, nil
		case strings.HasPrefix(line, "-ERR"):
			word = line
		}
		if err != nil {
			return word, err
		}
	}
}

// tcp connects to the NATS port and returns the server's word on it.
func (r *rig) tcp(tb testing.TB, fields map[string]string) string {
	tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.engine.ClientURL(), "nats://"))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	said, err := handshake(conn, fields)
	if err != nil {
		tb.Fatal(err)
	}
	return said
}

// verdicts collects what OnVerdict hears.
type verdicts struct {
	mu   sync.Mutex // guards list
	list []authcallout.Verdict
}

func (v *verdicts) add(verdict authcallout.Verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list = append(v.list, verdict)
}

func (v *verdicts) all() []authcallout.Verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.list)
}

// waitFor waits until the condition holds.
func waitFor(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	for end := time.Now().Add(soon); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("waited %v for %s", soon, what)
		}
	}
}

// serverKey makes a key like a server's.
func serverKey(tb testing.TB) (nkeys.KeyPair, string) {
	tb.Helper()
	kp, err := nkeys.CreateServer()
	if err != nil {
		tb.Fatal(err)
	}
	id, err := kp.PublicKey()
	if err != nil {
		tb.Fatal(err)
	}
	return kp, id
}

func emptyAnswer(m *nats.Msg) { m.Respond(nil) }
