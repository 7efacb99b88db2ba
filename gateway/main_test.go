package gateway_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/fanout/fromhistory"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/link"
	"github.com/statuswire/statuswire/internal/logtest"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http/httptest.(*Server).goServe.func1"))
}

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// rig is a gateway on the real server, with a callout that the test steers.
type rig struct {
	t        testing.TB
	engine   *engine.Engine
	gateway  *gateway.Gateway
	links    *link.Links
	sessions *session.Registry
	fanout   *fanout.Fanout
	callout  *callout
	members  *members
	ingest   *nats.Conn
	edge     *nats.Conn
	url      string // ws://…
	log      *logtest.Log
	upstream *nats.Conn

	attendance *attendance
	marks      *mark.Store
	reads      *repair
	audit      *audit.Recorder
	keys       *keys.Set
}

func newRig(t testing.TB, opts gateway.Options, change ...func(*gateway.Deps)) *rig {
	t.Helper()
	dir := t.TempDir()
	set, err := keys.Load(dir)
	must(t, err)
	e, err := engine.New(engine.Options{LineBytes: link.LineBytes(cmp.Or(opts.MaxControlLineBytes, gateway.DefaultOptions().MaxControlLineBytes), false), StoreDir: dir, Listen: "127.0.0.1:0", Keys: set})
	must(t, err)
	must(t, e.Start(t.Context()))
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	connect := func(p engine.Part) *nats.Conn {
		nc, err := e.Connect(p)
		must(t, err)
		return nc
	}
	r := &rig{t: t, engine: e, log: &logtest.Log{}, ingest: connect(engine.PartBroadcaster), edge: connect(engine.PartEdge)}
	r.members = &members{of: map[status.ConversationID]map[status.UserID]bool{}}
	r.attendance = &attendance{}
	r.keys = set
	r.audit, err = audit.New(connect(engine.PartAudit), audit.Options{Window: 10 * time.Millisecond})
	must(t, err)
	must(t, r.audit.Start(t.Context()))
	t.Cleanup(func() { _ = r.audit.Stop(context.Background()) })
	registry := session.NewRegistry()
	r.sessions = registry
	issuer, err := set.Issuer.PublicKey()
	must(t, err)
	r.links = link.New(e, registry, link.Options{From: session.Authority{Issuer: issuer, Account: engine.AccountStatus}})
	r.callout = newCallout(t, connect(engine.PartCallout), set, registry, r.members)
	r.upstream = connect(engine.PartFanout)
	reader := history.NewReader(connect(engine.PartFanout))
	r.reads = &repair{Repair: fromhistory.Repair{Reader: reader, Replays: reader}}
	r.fanout = fanout.New(r.upstream, r.reads, fanout.Options{})
	must(t, r.fanout.Start(t.Context()))
	t.Cleanup(func() { must(t, r.fanout.Stop(context.Background())) })
	opts.Limits = generous(opts.Limits)
	if opts.VerdictTimeout == 0 {
		opts.VerdictTimeout = patience // the default is little on a busy machine
	}
	if opts.CloseSpread == 0 {
		opts.CloseSpread = time.Millisecond
	}
	opts.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.marks, err = mark.New(mark.Options{})
	must(t, err)
	deps := gateway.Deps{
		Verdicts: r.callout, Links: r.links, Directory: r.members, Fanout: r.fanout, Requests: connect(engine.PartGateway),
		Presence: r.attendance, Audit: r.audit, Marks: r.marks,
	}
	for _, f := range change {
		f(&deps)
	}
	r.gateway, err = gateway.New(deps, opts)
	must(t, err)
	must(t, r.gateway.Start(t.Context()))
	routes := http.NewServeMux()
	routes.Handle("/", r.gateway)
	routes.Handle("/v1/", r.gateway.API())
	server := httptest.NewServer(routes)
	r.url = "ws" + strings.TrimPrefix(server.URL, "http")
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, r.gateway.Stop(ctx))
	})
	return r
}

// generous fills in limits that no test hits that is not about them.
func generous(o limit.Options) limit.Options {
	for rule, value := range map[*limit.Rule]int{
		&o.Categories: 10_000, &o.SubscriptionChanges: 10_000, &o.GrantChanges: 10_000, &o.Operations: 100_000,
		&o.ConnectionsPerUser: 100_000, &o.ConnectionsPerAddress: 100_000,
		&o.FailedLogins: 1_000, &o.UpgradesPerAddress: 1_000_000, &o.Upgrades: 1_000_000,
	} {
		rule.Value = cmp.Or(rule.Value, value)
	}
	return o
}

// store puts a status into the stream.
func (r *rig) store(conversation, category, text string) {
	r.t.Helper()
	_, err := r.ingest.Request("ingest."+conversation+"."+category, fmt.Appendf(nil, `{"text":%q}`, text), patience)
	must(r.t, err)
}

// storeUnheard stores a status that the stream does not republish, as it may happen.
func (r *rig) storeUnheard(conversation, category, text string) {
	r.t.Helper()
	nc, err := r.engine.Connect(engine.PartStreams)
	must(r.t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(r.t, err)
	stream, err := js.Stream(r.t.Context(), engine.StreamStatus)
	must(r.t, err)
	config := stream.CachedInfo().Config
	silent := config
	silent.RePublish = nil
	_, err = js.UpdateStream(r.t.Context(), silent)
	must(r.t, err)
	r.store(conversation, category, text)
	_, err = js.UpdateStream(r.t.Context(), config)
	must(r.t, err)
}

// answerJoin serves edge.<c>.join.<user> with the user token.
func (r *rig) answerJoin() {
	r.t.Helper()
	_, err := r.edge.Subscribe("edge.*.*.*", func(m *nats.Msg) {
		_ = m.Respond([]byte(strings.Split(m.Subject, ".")[3]))
	})
	must(r.t, err)
	must(r.t, r.edge.Flush())
}

// repair reads the stream, unless the test has it fail.
type repair struct {
	fromhistory.Repair
	mu    sync.Mutex
	err   error // of replays
	blind error // of positions
}

// hide has everything fail.
func (r *repair) hide(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.blind = err, err
}

func (r *repair) LastSequences(ctx context.Context, subjects ...string) (map[string]uint64, uint64, error) {
	r.mu.Lock()
	err := r.blind
	r.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	return r.Repair.LastSequences(ctx, subjects...)
}

func (r *repair) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *repair) Replay(subject string, place fanout.Place) fanout.Replay {
	return replay{r.Repair.Replay(subject, place), r}
}

func (r *repair) Mend(subject string, place fanout.Place) fanout.Replay {
	return replay{r.Repair.Mend(subject, place), r}
}

type replay struct {
	fanout.Replay
	repair *repair
}

func (r replay) Next(ctx context.Context) (fanout.Piece, error) {
	r.repair.mu.Lock()
	err := r.repair.err
	r.repair.mu.Unlock()
	if err != nil {
		return fanout.Piece{}, err
	}
	return r.Replay.Next(ctx)
}

// members is a directory in memory.
type members struct {
	mu  sync.Mutex
	of  map[status.ConversationID]map[status.UserID]bool
	err error

	categories []status.Category // nil: the default ones
}

func (m *members) Admits(_ context.Context, c status.ConversationID, u status.UserID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[c][u], m.err
}

func (m *members) Categories(context.Context, status.ConversationID) ([]status.Category, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.categories != nil {
		return m.categories, nil
	}
	return status.DefaultCategories(), nil
}

func (m *members) set(c status.ConversationID, u status.UserID, in bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of[c] == nil {
		m.of[c] = map[status.UserID]bool{}
	}
	m.of[c][u] = in
}

// callout signs what the test says: the token is "<user>" or "<user>/<anything>",
// the grant covers what the members admit, unless grant or deny say otherwise.
type callout struct {
	keys    *keys.Set
	members *members
	subject string // of the JWTs that the gateway asks for in the process

	mu       sync.Mutex
	silent   bool // another one answers the server
	calls    int
	grant    func(user string, claims *jwt.UserClaims)
	deny     func(user string) *session.Denial
	lifetime time.Duration
	hold     chan struct{} // if set, each answer waits for it
	hosts    []string
	around   func() func() // called at the beginning of each decision, its result at the end
}

func newCallout(t testing.TB, nc *nats.Conn, set *keys.Set, registry *session.Registry, m *members) *callout {
	t.Helper()
	c := &callout{lifetime: time.Hour, keys: set, members: m}
	user, err := nkeys.CreateUser()
	must(t, err)
	c.subject, err = user.PublicKey()
	must(t, err)
	_, err = nc.Subscribe("$SYS.REQ.USER.AUTH", func(msg *nats.Msg) {
		c.mu.Lock()
		silent := c.silent
		c.mu.Unlock()
		if silent {
			return
		}
		go func() {
			req, err := jwt.DecodeAuthorizationRequestClaims(string(msg.Data))
			if err != nil {
				return
			}
			key := session.Key{ServerID: req.Server.ID, ClientID: req.ClientInformation.ID}
			ask, ok := registry.Ask(key)
			resp := jwt.NewAuthorizationResponseClaims(req.UserNkey)
			resp.Audience = req.Server.ID
			userJWT, denial := "", &session.Denial{Reason: "no session", Final: true}
			if ok {
				userJWT, denial = c.decide(req.UserNkey, req.ClientInformation.Host, req.ConnectOptions.Token, ask)
			}
			if denial != nil {
				registry.Deny(key, denial)
				resp.Error = denial.Reason
			} else {
				registry.Grant(key, userJWT)
				resp.Jwt = userJWT
			}
			if signed, err := resp.Encode(set.Issuer); err == nil {
				_ = msg.Respond([]byte(signed))
			}
		}()
	})
	must(t, err)
	must(t, nc.Flush())
	return c
}

// Decide implements gateway.Verdicts: as the server would have it, and nearer.
func (c *callout) Decide(_ context.Context, login session.Login, ask session.Ask) (*session.Grant, error) {
	userJWT, denial := c.decide(c.subject, login.Remote.Addr().Unmap().String(), login.Token, ask)
	if denial != nil {
		return nil, denial
	}
	issuer, err := c.keys.Issuer.PublicKey()
	if err != nil {
		return nil, err
	}
	return session.Authority{Issuer: issuer, Account: engine.AccountStatus}.Grant(userJWT, time.Now())
}

func (c *callout) decide(userNkey, host, token string, ask session.Ask) (string, *session.Denial) {
	c.mu.Lock()
	c.calls++
	c.hosts = append(c.hosts, host)
	hold, deny, grant, lifetime, around := c.hold, c.deny, c.grant, c.lifetime, c.around
	c.mu.Unlock()
	if around != nil {
		defer around()()
	}
	if hold != nil {
		<-hold
	}
	user, _, _ := strings.Cut(token, "/")
	if deny != nil {
		if d := deny(user); d != nil {
			return "", d
		}
	}
	claims := jwt.NewUserClaims(userNkey)
	claims.Name = user
	claims.Audience = "STATUS"
	claims.Expires = time.Now().Add(lifetime).Unix()
	claims.Subs = 64
	claims.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeInProcess}
	claims.Sub.Allow = jwt.StringList{"_INBOX.>"}
	claims.Pub.Allow = jwt.StringList{"gateway.token", "gateway.subscriptions"}
	for _, id := range append(ask.Want, ask.Join) {
		in, _ := c.members.Admits(context.Background(), id, status.UserID(user))
		if !in && id == ask.Join && id != "" {
			return "", &session.Denial{Reason: fmt.Sprintf("conversation %q is not found or not yours", id), Final: true}
		}
		if in {
			claims.Sub.Allow.Add(status.ConversationSubjects(id), status.PresenceSubject(id))
			for _, verb := range status.EdgeVerbs() {
				claims.Pub.Allow.Add(status.EdgeSubject(id, verb))
			}
		}
	}
	if grant != nil {
		grant(user, claims)
	}
	signed, err := claims.Encode(c.keys.Issuer)
	if err != nil {
		return "", &session.Denial{Reason: err.Error()}
	}
	return signed, nil
}

func (c *callout) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

func (c *callout) set(change func(*callout)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// browser is a raw WebSocket that speaks NATS lines, so that a test sees every byte.
type browser struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	buf  bytes.Buffer // protocol bytes not yet read
	code ws.StatusCode
	why  string
	pong bool // answer pings
}

func (r *rig) dial() *browser {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	conn, br, _, err := ws.Dialer{}.Dial(ctx, r.url)
	must(r.t, err)
	if br == nil {
		br = bufio.NewReader(conn)
	}
	b := &browser{t: r.t, conn: conn, in: br, pong: true}
	r.t.Cleanup(func() { _ = conn.Close() })
	b.expect("INFO {")
	return b
}

// login dials and connects with the token as auth_token.
func (r *rig) login(token string) *browser {
	r.t.Helper()
	b := r.dial()
	b.connect(map[string]any{"auth_token": token})
	return b
}

func (b *browser) connect(extra map[string]any) {
	b.t.Helper()
	o := map[string]any{"headers": true, "no_responders": true, "protocol": 1, "lang": "test", "name": "b"}
	for k, v := range extra {
		o[k] = v
	}
	body, err := json.Marshal(o)
	must(b.t, err)
	b.send("CONNECT " + string(body))
	b.send("PING")
	b.expect("PONG")
}

// send writes lines as one masked frame.
func (b *browser) send(lines ...string) {
	b.t.Helper()
	b.raw([]byte(strings.Join(lines, "\r\n") + "\r\n"))
}

func (b *browser) raw(p []byte) {
	b.t.Helper()
	must(b.t, ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewBinaryFrame(append([]byte(nil), p...)))))
}

// line returns the next protocol line; a message's payload is appended to it
// after a tab. It is "" when the socket was closed; then code and why are set.
func (b *browser) line() string {
	b.t.Helper()
	for {
		if line, ok := b.take(); ok {
			return line
		}
		must(b.t, b.conn.SetReadDeadline(time.Now().Add(patience)))
		h, err := ws.ReadHeader(b.in)
		if err == io.EOF || err != nil && strings.Contains(err.Error(), "reset") {
			return ""
		}
		must(b.t, err)
		body := make([]byte, h.Length)
		_, err = io.ReadFull(b.in, body)
		must(b.t, err)
		switch h.OpCode {
		case ws.OpClose:
			b.code, b.why = ws.ParseCloseFrameData(body)
			return ""
		case ws.OpPing:
			if b.pong {
				must(b.t, ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewPongFrame(body))))
			}
		case ws.OpPong:
			return "ws pong " + string(body)
		default:
			b.buf.Write(body)
		}
	}
}

// answerPings does nothing but that, as a frozen tab does.
func (b *browser) answerPings() {
	for {
		h, err := ws.ReadHeader(b.in)
		if err != nil || h.Length > 125 {
			return
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(b.in, body); err != nil {
			return
		}
		if h.OpCode == ws.OpPing {
			_ = ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewPongFrame(body)))
		}
	}
}

// take cuts a whole operation off what has arrived.
func (b *browser) take() (string, bool) {
	all := b.buf.Bytes()
	end := bytes.Index(all, []byte("\r\n"))
	if end < 0 {
		return "", false
	}
	line := string(all[:end])
	size := end + 2
	if strings.HasPrefix(line, "MSG ") || strings.HasPrefix(line, "HMSG ") {
		fields := strings.Fields(line)
		n := 0
		_, err := fmt.Sscan(fields[len(fields)-1], &n)
		must(b.t, err)
		if len(all) < size+n+2 {
			b.t.Fatalf("half an operation on the wire: %q", all)
		}
		line += "\t" + string(all[size:size+n])
		size += n + 2
	}
	b.buf.Next(size)
	return line, true
}

// expect reads one line and holds that it starts so.
func (b *browser) expect(prefix string) string {
	b.t.Helper()
	line := b.line()
	if !strings.HasPrefix(line, prefix) || line == "" && prefix != "" {
		b.t.Fatalf("got %.300q (closed %d %q), want %q", line, b.code, b.why, prefix)
	}
	return line
}

// expectMsg reads one MSG or HMSG and holds that it goes on so.
func (b *browser) expectMsg(rest string) string {
	b.t.Helper()
	line := b.line()
	if !strings.HasPrefix(strings.TrimPrefix(line, "H"), "MSG "+rest) {
		b.t.Fatalf("got %.300q (closed %d %q), want a message on %q", line, b.code, b.why, rest)
	}
	return line
}

// expectClosed reads to the end and returns the -ERR lines before it.
func (b *browser) expectClosed(code ws.StatusCode) []string {
	b.t.Helper()
	var errs []string
	for {
		line := b.line()
		if line == "" {
			break
		}
		if strings.HasPrefix(line, "-ERR") {
			errs = append(errs, line)
		}
	}
	if b.code != code {
		b.t.Fatalf("closed with %d %q after %q, want %d", b.code, b.why, errs, code)
	}
	return errs
}

// sub subscribes and returns when it has taken effect.
func (b *browser) sub(subject, sid string) {
	b.t.Helper()
	b.send("SUB "+subject+" "+sid, "PING")
	b.expect("PONG")
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newReader(c net.Conn) *bufio.Reader { return bufio.NewReader(c) }

// newHTTPServer serves until the test ends.
func newHTTPServer(t testing.TB, h http.Handler) *httptest.Server {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}
