package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// forwarded is an upgrade as the proxy on this machine sends it for the address.
func forwarded(address string) ws.Dialer {
	return ws.Dialer{Header: ws.HandshakeHeaderHTTP{"X-Forwarded-For": {address}}}
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// open upgrades and returns the socket, or the answer that refused it.
func (r *rig) open(address string) (*browser, *http.Response) {
	r.t.Helper()
	d := forwarded(address)
	var refused *http.Response
	d.OnStatusError = func(_ int, _ []byte, resp io.Reader) {
		refused, _ = http.ReadResponse(bufio.NewReader(resp), nil)
		if refused != nil {
			body, _ := io.ReadAll(refused.Body)
			refused.Body = io.NopCloser(strings.NewReader(string(body)))
		}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	conn, br, _, err := d.Dial(ctx, r.url)
	if refused != nil {
		return nil, refused
	}
	must(r.t, err)
	if br == nil {
		br = bufio.NewReader(conn)
	}
	b := &browser{t: r.t, conn: conn, in: br, pong: true}
	r.t.Cleanup(func() { _ = conn.Close() })
	b.expect("INFO {")
	return b, nil
}

func (r *rig) mustOpen(address string) *browser {
	r.t.Helper()
	b, refused := r.open(address)
	if refused != nil {
		r.t.Fatalf("%s was refused: %s", address, refused.Status)
	}
	return b
}

// mustRefuse holds that the upgrade gets the answer, and returns Retry-After.
func (r *rig) mustRefuse(address string, code int, text string) int {
	r.t.Helper()
	_, refused := r.open(address)
	if refused == nil {
		r.t.Fatalf("%s was let in, want %d", address, code)
	}
	body, _ := io.ReadAll(refused.Body)
	if refused.StatusCode != code || !strings.Contains(string(body), text) {
		r.t.Fatalf("%s %q, want %d %q", refused.Status, body, code, text)
	}
	seconds, err := strconv.Atoi(refused.Header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		r.t.Fatalf("Retry-After is %q", refused.Header.Get("Retry-After"))
	}
	return seconds
}

// hits collects what the admission reports.
type hits struct {
	mu  sync.Mutex
	all []string
}

func hear(g *gateway.Gateway) *hits {
	h := &hits{}
	g.OnHit(func(v limit.Verdict, from netip.AddrPort, u status.UserID) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, fmt.Sprintf("%s %v %s dry=%v", v.Name, from.Addr(), u, v.Dry))
	})
	return h
}

func (h *hits) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.all, "; ")
}

func (r *rig) nothingHeld() {
	r.t.Helper()
	eventually(r.t, "nothing is held", func() bool {
		return r.gateway.Stats().Sockets == 0 && r.gateway.Held() == gateway.Held{}
	})
}

func TestConnectionsPerAddressAreCountedAndGivenBack(t *testing.T) {
	r := newRig(t, gateway.Options{TrustedProxies: loopback, Limits: limit.Options{ConnectionsPerAddress: limit.Rule{Value: 2}}})
	heard := hear(r.gateway)
	a, b := r.mustOpen("192.0.2.1"), r.mustOpen("192.0.2.1")
	r.mustRefuse("192.0.2.1", 429, "this address has 2 connections, which is its limit: close one first")
	c := r.mustOpen("192.0.2.2")
	// IPv6 counts by /64.
	d, e := r.mustOpen("2001:db8:0:1::1"), r.mustOpen("2001:db8:0:1::2")
	r.mustRefuse("2001:db8:0:1:ffff::3", 429, "this address has 2 connections")
	f := r.mustOpen("2001:db8:0:2::1")
	if got := heard.String(); got != "connections_per_address 192.0.2.1  dry=false; connections_per_address 2001:db8:0:1:ffff::3  dry=false" {
		t.Errorf("heard %s", got)
	}
	_ = a.conn.Close()
	eventually(t, "the place is free again", func() bool { return r.gateway.Stats().Sockets == 5 })
	g := r.mustOpen("192.0.2.1")
	for _, x := range []*browser{b, c, d, e, f, g} {
		_ = x.conn.Close()
	}
	r.nothingHeld()
}

func TestConnectionsPerUserEndTheLoginPlainly(t *testing.T) {
	r := newRig(t, gateway.Options{Limits: limit.Options{ConnectionsPerUser: limit.Rule{Value: 2}}})
	heard := hear(r.gateway)
	a, b := r.login("alice/1"), r.login("alice/2") // two tokens, one user
	c := r.dial()
	c.send(`CONNECT {"auth_token":"alice/3"}`, "PING")
	if errs := c.expectClosed(1013); len(errs) > 0 || c.why != "this user has 2 connections, which is the limit: close one first" {
		t.Fatalf("%q, %q: clients would give up for good", errs, c.why)
	}
	if got := heard.String(); got != "connections_per_user 127.0.0.1 alice dry=false" {
		t.Errorf("heard %s", got)
	}
	bob := r.login("bob")
	_ = a.conn.Close()
	eventually(t, "the place is free again", func() bool { return r.gateway.Stats().Sockets == 2 })
	d := r.login("alice/4")
	for _, x := range []*browser{b, d, bob} {
		_ = x.conn.Close()
	}
	r.nothingHeld()
}

// Without anybody who looks at a token first, all of an address has to wait.
func TestFailedLoginsOfAnAddressHaveItWait(t *testing.T) {
	r := newRig(t, gateway.Options{TrustedProxies: loopback, Limits: limit.Options{FailedLogins: limit.Rule{Value: 3}}})
	heard := hear(r.gateway)
	r.callout.set(func(c *callout) {
		c.deny = func(user string) *session.Denial {
			switch user {
			case "mallory":
				return &session.Denial{Reason: "token malformed: it is not a signed JWT", Final: true, BadToken: true}
			case "later":
				return &session.Denial{Reason: "directory down"}
			}
			return nil
		}
	})
	for range 5 {
		b := r.mustOpen("192.0.2.1")
		b.send(`CONNECT {"auth_token":"later"}`)
		b.expectClosed(1013) // not their fault
	}
	for range 3 {
		b := r.mustOpen("192.0.2.1")
		b.send(`CONNECT {"auth_token":"mallory"}`)
		b.expectClosed(1008)
	}
	const text = "3 failed logins from this address within a minute, which is the limit: try again in "
	late := r.mustOpen("192.0.2.1")
	late.send(`CONNECT {"auth_token":"alice"}`)
	if errs := late.expectClosed(1013); len(errs) > 0 || !strings.HasPrefix(late.why, text) {
		t.Fatalf("%q, %q", errs, late.why)
	}
	good := r.mustOpen("192.0.2.2")
	good.connect(map[string]any{"auth_token": "alice"})
	if got := heard.String(); got != "failed_logins 192.0.2.1  dry=false" {
		t.Errorf("heard %s", got)
	}
}

func TestHandshakesAreBounded(t *testing.T) {
	r := newRig(t, gateway.Options{TrustedProxies: loopback, ConnectTimeout: 200 * time.Millisecond, Limits: limit.Options{Handshakes: limit.Rule{Value: 2}}})
	logged := r.mustOpen("192.0.2.1")
	logged.connect(map[string]any{"auth_token": "alice"}) // is none any more
	silent := []*browser{r.mustOpen("192.0.2.2"), r.mustOpen("192.0.2.3")}
	r.mustRefuse("192.0.2.4", 503, "too many logins are under way: try again")
	if got := r.gateway.Held(); got != (gateway.Held{Addresses: 3, Users: 1, Handshakes: 2}) {
		t.Errorf("held %+v: what was refused has to be given back", got)
	}
	for _, b := range silent {
		b.expectClosed(1013)
	}
	eventually(t, "the handshakes are over", func() bool { return r.gateway.Held().Handshakes == 0 })
	r.mustOpen("192.0.2.4")
}

func TestUpgradesOfTheNodeAreBounded(t *testing.T) {
	r := newRig(t, gateway.Options{Limits: limit.Options{Upgrades: limit.Rule{Value: 1}}})
	r.mustOpen("")
	refused := 0
	for range 3 { // of three within a second, one at most is let in
		if _, resp := r.open(""); resp != nil {
			refused++
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || string(body) != "too many connections are being opened: try again\n" {
				t.Errorf("%s %v %q", resp.Status, resp.Header, body)
			}
		}
	}
	if refused < 2 {
		t.Errorf("%d of 3 refused", refused)
	}
}

// One bucket for all let one address shut out everybody else.
func TestUpgradesOfAnAddressAreItsOwn(t *testing.T) {
	r := newRig(t, gateway.Options{TrustedProxies: loopback, Limits: limit.Options{
		UpgradesPerAddress: limit.Rule{Value: 1}, Upgrades: limit.Rule{Value: 20},
	}})
	heard := hear(r.gateway)
	refused := 0
	for i := range 40 { // of a /64, and more than all together may
		_, resp := r.open(fmt.Sprintf("2001:db8::%x", i+1))
		if resp == nil {
			continue
		}
		refused++
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || string(body) != "this address opens more than 1 connections a second, which is its limit: try again\n" {
			t.Fatalf("%s %v %q", resp.Status, resp.Header, body)
		}
	}
	if refused < 20 {
		t.Errorf("only %d were refused", refused)
	}
	for i := range 10 {
		r.mustOpen(fmt.Sprintf("2001:db8:0:%x::1", i+1))
	}
	if got := heard.String(); strings.Contains(got, "upgrades 2001") || !strings.Contains(got, "upgrades_per_address 2001:db8::") {
		t.Errorf("heard %s", got)
	}
}

func TestDryRunCountsAndLetsPass(t *testing.T) {
	dry := limit.Rule{Value: 1, DryRun: true}
	r := newRig(t, gateway.Options{Limits: limit.Options{
		ConnectionsPerAddress: dry, ConnectionsPerUser: dry, FailedLogins: dry, Handshakes: dry, Upgrades: dry, UpgradesPerAddress: dry,
	}})
	r.callout.set(func(c *callout) {
		c.deny = func(user string) *session.Denial {
			if user == "mallory" {
				return &session.Denial{Reason: "no", Final: true, BadToken: true}
			}
			return nil
		}
	})
	heard := hear(r.gateway)
	bad := r.dial()
	bad.send(`CONNECT {"auth_token":"mallory"}`)
	bad.expectClosed(1008)
	r.nothingHeld()
	r.login("alice")
	silent := r.dial()
	r.login("alice")
	for name, text := range map[limit.Name]string{
		limit.FailedLogins:          "failed_logins 127.0.0.1  dry=true",
		limit.ConnectionsPerAddress: "connections_per_address 127.0.0.1  dry=true",
		limit.ConnectionsPerUser:    "connections_per_user 127.0.0.1 alice dry=true",
		limit.Handshakes:            "handshakes 127.0.0.1  dry=true",
		limit.Upgrades:              "upgrades 127.0.0.1  dry=true",
		limit.UpgradesPerAddress:    "upgrades_per_address 127.0.0.1  dry=true",
	} {
		if !strings.Contains(heard.String(), text) {
			t.Errorf("%s was not heard of: %s", name, heard)
		}
	}
	_ = silent.conn.Close()
}

func TestEveryoneSeesTheAddressBehindTheProxy(t *testing.T) {
	r := newRig(t, gateway.Options{TrustedProxies: loopback, KeepLinks: true})
	r.mustOpen("192.0.2.1").connect(map[string]any{"auth_token": "alice"})
	r.callout.set(func(c *callout) {
		if len(c.hosts) != 1 || c.hosts[0] != "192.0.2.1" {
			t.Errorf("the callout sees %q", c.hosts)
		}
	})
}

func TestAnUntrustedProxyIsToldOfOnce(t *testing.T) {
	r := newRig(t, gateway.Options{})
	for range 3 {
		r.mustOpen("192.0.2.1")
	}
	if got := strings.Count(r.log.String(), "trusted_proxies"); got != 1 {
		t.Errorf("told %d times:\n%s", got, r.log)
	}
}

// Sockets that come, log in and go at the same time leave nothing behind.
func TestNothingIsHeldAfterAStorm(t *testing.T) {
	r := newRig(t, gateway.Options{TrustedProxies: loopback, Limits: limit.Options{
		ConnectionsPerUser: limit.Rule{Value: 3}, ConnectionsPerAddress: limit.Rule{Value: 5},
		FailedLogins: limit.Rule{Value: 1000}, Handshakes: limit.Rule{Value: 10},
	}})
	r.callout.set(func(c *callout) {
		c.grant = func(string, *jwt.UserClaims) {}
		c.deny = func(user string) *session.Denial {
			if user == "mallory" {
				return &session.Denial{Reason: "no", Final: true, BadToken: true}
			}
			return nil
		}
	})
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			for j := range 20 {
				conn, _, _, err := forwarded(fmt.Sprintf("192.0.2.%d", i%4)).Dial(t.Context(), r.url)
				if err != nil {
					continue
				}
				send(conn, []string{`CONNECT {"auth_token":"alice"}`, `CONNECT {"auth_token":"mallory"}`, "garbage", "CONN"}[(i+j)%4])
				if j%3 > 0 {
					_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
					_, _ = io.Copy(io.Discard, conn)
				}
				_ = conn.Close()
			}
		})
	}
	all.Wait()
	r.nothingHeld()
}

func send(conn net.Conn, line string) {
	_ = ws.WriteFrame(conn, ws.MaskFrame(ws.NewBinaryFrame([]byte(line+"\r\n"))))
}
