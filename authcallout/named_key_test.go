package authcallout_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// keyRig is a rig with named keys.
type keyRig struct {
	*rig
	ring  *keyring.Ring
	heard *verdicts
}

func startWithKeys(t testing.TB, s setup) *keyRig {
	t.Helper()
	r := &rig{sessions: session.NewRegistry()}
	r.engine, r.keys = startEngine(t, s)
	return withKeys(t, r, s)
}

// withKeys starts the keyring and the callout of a server that runs.
func withKeys(t testing.TB, of *rig, s setup) *keyRig {
	t.Helper()
	r := &keyRig{rig: of, heard: &verdicts{}}
	nc, err := r.engine.Connect(engine.PartKeys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var service atomic.Pointer[authcallout.Service]
	r.ring = keyring.New(nc, keyring.Options{})
	r.ring.OnChange(func() {
		if s := service.Load(); s != nil {
			s.KeysChanged()
		}
	})
	if err := r.ring.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, r.ring.Stop) })
	s.named = &authcallout.NamedKeys{Keyring: r.ring, Connections: r.engine, Patterns: map[keyring.Role]authcallout.Pattern{}}
	for _, role := range keyring.Roles() {
		account, permissions, err := r.engine.Pattern(string(role))
		if err != nil {
			t.Fatal(err)
		}
		s.named.Patterns[role] = authcallout.Pattern{Account: account, Permissions: permissions}
	}
	s.opts.OnVerdict = r.heard.add
	callout, err := r.engine.Connect(engine.PartCallout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(callout.Close)
	r.service = r.serve(t, callout, s)
	service.Store(r.service)
	return r
}

// seed is a new pair of keys of a user.
func seed(t testing.TB) (nkeys.KeyPair, string) {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return kp, public
}

// create makes a named key and returns its seed.
func (r *keyRig) create(t testing.TB, name keyring.Name, role keyring.Role, categories ...status.Category) nkeys.KeyPair {
	t.Helper()
	kp, public := seed(t)
	if _, err := r.ring.Create(t.Context(), keyring.Key{Name: name, Role: role, Categories: categories, Public: public}); err != nil {
		t.Fatal(err)
	}
	return kp
}

// login connects with the key as an SDK does.
func (r *keyRig) login(t testing.TB, kp nkeys.KeyPair, opts ...nats.Option) (*nats.Conn, error) {
	t.Helper()
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(r.engine.ClientURL(), append([]nats.Option{
		nats.Nkey(public, kp.Sign), nats.NoReconnect(), nats.Timeout(soon), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, opts...)...)
	if err == nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

func TestANamedKeyLogsInUntilItEnds(t *testing.T) {
	for name, sealed := range map[string]bool{"plain requests": false, "sealed requests": true} {
		t.Run(name, func(t *testing.T) {
			r := startWithKeys(t, setup{sealed: sealed})
			kp := r.create(t, "ci", keyring.RoleService)
			other := r.create(t, "other", keyring.RoleService)
			var closed atomic.Bool
			for range 20 { // more than are looked through at once
				nc, err := r.login(t, kp)
				if err != nil {
					t.Fatal(err)
				}
				nc.Close()
			}
			nc, err := r.login(t, kp, nats.ClosedHandler(func(*nats.Conn) { closed.Store(true) }))
			if err != nil {
				t.Fatal(err)
			}
			stays, err := r.login(t, other)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.ring.End(t.Context(), "ci"); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the connection of the ended key to be closed", closed.Load)
			if nc.IsConnected() {
				t.Error("it is connected")
			}
			if _, err := r.login(t, kp); err == nil {
				t.Error("the ended key logs in")
			}
			if err := stays.Flush(); err != nil {
				t.Errorf("the other key's connection: %v", err)
			}
			for _, v := range r.heard.all() {
				if v.Named == "" && v.Cause != authcallout.CauseKey {
					t.Errorf("verdict %+v: want a name, or that the key is not known", v)
				}
			}
		})
	}
}

// The name of an ended key, with another seed, is another key.
func TestANameThatComesBackDoesNotLetTheOldSeedIn(t *testing.T) {
	r := startWithKeys(t, setup{})
	old := r.create(t, "ci", keyring.RoleOperator)
	if _, err := r.login(t, old); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ring.End(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.login(t, r.create(t, "ci", keyring.RoleOperator)); err != nil {
		t.Errorf("the new seed: %v", err)
	}
	if _, err := r.login(t, old); err == nil {
		t.Error("the old seed logs in")
	}
}

// The same seed may come back as a viewer: who holds its old permissions must not
// keep them.
func TestASeedThatComesBackWithLessEndsWhoHasMore(t *testing.T) {
	r := startWithKeys(t, setup{})
	kp := r.create(t, "ci", keyring.RoleOperator)
	var closed atomic.Bool
	if _, err := r.login(t, kp, nats.ClosedHandler(func(*nats.Conn) { closed.Store(true) })); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ring.End(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ring.Create(t.Context(), keyring.Key{Name: "ci", Role: keyring.RoleViewer, Public: public}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the operator's connection to be closed", closed.Load)
}

// The next server in the process counts its clients from the beginning: the number
// of one who had the key may be a stranger's now.
func TestAKeyThatEndsAfterARestartOfTheServerClosesNobodyElse(t *testing.T) {
	r := startWithKeys(t, setup{})
	first, second := r.create(t, "first", keyring.RoleService), r.create(t, "second", keyring.RoleService)
	for range 60 {
		nc, err := r.login(t, first)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	if _, err := r.engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	var conns []*nats.Conn
	for range 30 {
		var nc *nats.Conn
		waitFor(t, "a login", func() (in bool) {
			var err error
			nc, err = r.login(t, second)
			return err == nil
		})
		conns = append(conns, nc)
	}
	if _, err := r.login(t, first); err != nil {
		t.Errorf("the key does not log in to the next server: %v", err)
	}
	waitFor(t, "the keyring to be back", func() bool { return r.ring.Ready() == nil })
	if _, err := r.ring.End(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end of the key to be seen", func() bool { _, err := r.login(t, first); return err != nil })
	for _, nc := range conns {
		if err := nc.Flush(); err != nil {
			t.Fatalf("another key's connection: %v", err)
		}
	}
}

// rawInfo opens a TCP connection and returns the nonce of its INFO.
func (r *keyRig) rawInfo(t testing.TB) (conn net.Conn, lines *bufio.Reader, nonce string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.engine.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	lines = bufio.NewReader(conn)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info); err != nil || info.Nonce == "" {
		t.Fatalf("INFO has no nonce: %s", line)
	}
	return conn, lines, info.Nonce
}

// say sends CONNECT and returns the server's word.
func say(t testing.TB, conn net.Conn, lines *bufio.Reader, fields map[string]any) string {
	t.Helper()
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "CONNECT %s\r\nPING\r\n", body) // an error shows below
	word, _ := hear(lines)
	return word
}

func TestOnlyTheSignatureOfThisConnectionsNonceCounts(t *testing.T) {
	r := startWithKeys(t, setup{})
	kp := r.create(t, "ci", keyring.RoleService)
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	stranger, strangerPublic := seed(t)
	sign := func(kp nkeys.KeyPair, nonce string) string {
		s, err := kp.Sign([]byte(nonce))
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(s)
	}
	_, _, oldNonce := r.rawInfo(t)
	replayed := sign(kp, oldNonce)
	for _, c := range []struct {
		name   string
		fields func(nonce string) map[string]any
		in     bool
	}{
		{"the key's own signature", func(n string) map[string]any { return map[string]any{"nkey": public, "sig": sign(kp, n)} }, true},
		{"beside a token", func(n string) map[string]any {
			return map[string]any{"nkey": public, "sig": sign(kp, n), "auth_token": token(t, "alice", time.Hour)}
		}, true},
		{"replayed from another connection", func(string) map[string]any { return map[string]any{"nkey": public, "sig": replayed} }, false},
		{"of a nonce that CONNECT names", func(string) map[string]any {
			return map[string]any{"nkey": public, "sig": replayed, "nonce": oldNonce}
		}, false},
		{"a stranger's signature", func(n string) map[string]any { return map[string]any{"nkey": public, "sig": sign(stranger, n)} }, false},
		{"a stranger's key", func(n string) map[string]any {
			return map[string]any{"nkey": strangerPublic, "sig": sign(stranger, n)}
		}, false},
		{"no signature", func(string) map[string]any { return map[string]any{"nkey": public} }, false},
		{"an empty signature", func(string) map[string]any { return map[string]any{"nkey": public, "sig": ""} }, false},
		{"a signature that is cut", func(n string) map[string]any { return map[string]any{"nkey": public, "sig": sign(kp, n)[:40]} }, false},
		{"a signature that is long", func(n string) map[string]any {
			return map[string]any{"nkey": public, "sig": sign(kp, n) + strings.Repeat("A", 2000)}
		}, false},
		{"no base64", func(string) map[string]any { return map[string]any{"nkey": public, "sig": "§§§"} }, false},
		{"the name for the key", func(n string) map[string]any { return map[string]any{"nkey": "ci", "sig": sign(kp, n)} }, false},
		{"the name as the user", func(n string) map[string]any { return map[string]any{"user": "ci", "sig": sign(kp, n)} }, false},
		{"the key as the token", func(string) map[string]any { return map[string]any{"auth_token": public} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, lines, nonce := r.rawInfo(t)
			begun := time.Now()
			said := say(t, conn, lines, c.fields(nonce))
			if in := said == "PONG"; in != c.in {
				t.Errorf("server says %q", said)
			}
			if time.Since(begun) > soon/2 {
				t.Errorf("answered after %v, want at once", time.Since(begun))
			}
		})
	}
}

// A named key is for NATS clients: not through the gateway, not on the WebSocket
// listener.
func TestANamedKeyIsUselessElsewhere(t *testing.T) {
	listen := freeAddress(t)
	r := startWithKeys(t, setup{native: listen, opts: authcallout.Options{NativeWebSocket: true}})
	kp := r.create(t, "ci", keyring.RoleOperator)
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.login(t, kp); err != nil {
		t.Fatal(err)
	}
	if nc, err := nats.Connect("ws://"+listen, nats.Nkey(public, kp.Sign), nats.NoReconnect(), nats.Timeout(soon)); err == nil {
		nc.Close()
		t.Error("it logs in on the WebSocket listener")
	}
	// A browser's CONNECT with an nkey is a browser's: its token decides.
	l := r.connect(t, session.Ask{Join: "c1"}, map[string]string{"nkey": public, "sig": "x", "auth_token": "junk"})
	if l.said == "PONG" || l.denial == nil {
		t.Errorf("through a link: server says %q, %v", l.said, l.denial)
	}
}

// What a stranger's key costs, all that the server does for it included, beside a
// good one's.
func BenchmarkLoginWithAKey(b *testing.B) {
	r := startWithKeys(b, setup{})
	good := r.create(b, "ci", keyring.RoleService)
	stranger, _ := seed(b)
	for name, kp := range map[string]nkeys.KeyPair{"good": good, "stranger's": stranger} {
		public, err := kp.PublicKey()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			before := len(r.heard.all())
			for b.Loop() {
				nc, err := nats.Connect(r.engine.ClientURL(), nats.Nkey(public, kp.Sign), nats.NoReconnect(), nats.Timeout(soon))
				if err == nil {
					nc.Close()
				}
				if (err == nil) != (name == "good") {
					b.Fatal(err)
				}
			}
			var ours time.Duration // without what the server and the client do
			mine := r.heard.all()[before:]
			for _, v := range mine {
				ours += v.Duration
			}
			b.ReportMetric(float64(ours.Microseconds())/float64(max(1, len(mine))), "µs/verdict")
		})
	}
}
