package engine_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/engine"
)

var browser = netip.MustParseAddrPort("203.0.113.9:51000")

func TestALinkShowsTheBrowsersAddress(t *testing.T) {
	for _, c := range []struct {
		name, from string
		wantIP     string
		wantPort   int
	}{
		{"of version 4", "203.0.113.9:51000", "203.0.113.9", 51000},
		{"of version 6", "[2001:db8::7]:443", "2001:db8::7", 443},
		{"of version 4 in a version 6 socket", "[::ffff:203.0.113.9]:80", "203.0.113.9", 80},
		{"that nobody knows", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := start(t, options(t))
			var from netip.AddrPort
			if c.from != "" {
				from = netip.MustParseAddrPort(c.from)
			}
			id := logIn(t, e, from)
			z, err := e.Server().Connz(&server.ConnzOptions{CID: id, Username: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(z.Conns) != 1 || z.Conns[0].IP != c.wantIP || z.Conns[0].Port != c.wantPort {
				t.Errorf("connz %+v, want %s:%d", z.Conns, c.wantIP, c.wantPort)
			}
		})
	}
}

// logIn opens a link and logs in with the service key, in place of a grant. It
// returns the client id that INFO gave; the link stays open until the test ends.
func logIn(t *testing.T, e *engine.Engine, from netip.AddrPort) uint64 {
	t.Helper()
	conn, preamble, err := e.DialLink(from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var info struct {
		ServerID string `json:"server_id"`
		ClientID uint64 `json:"client_id"`
		Nonce    string `json:"nonce"`
	}
	if !bytes.HasSuffix(preamble, []byte("\r\n")) {
		t.Fatalf("preamble %q", preamble)
	}
	if err := json.Unmarshal(bytes.TrimPrefix(preamble, []byte("INFO ")), &info); err != nil {
		t.Fatal(err)
	}
	if info.ServerID != e.ServerID() || info.ClientID == 0 {
		t.Errorf("INFO says server %s client %d", info.ServerID, info.ClientID)
	}
	kp := e.KeyOf("SERVICE_KEY")
	signature, err := kp.Sign([]byte(info.Nonce))
	if err != nil {
		t.Fatal(err)
	}
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	go fmt.Fprintf(conn, "CONNECT {\"nkey\":%q,\"sig\":%q,\"protocol\":1}\r\nPING\r\n",
		public, base64.RawURLEncoding.EncodeToString(signature)) // ends with the write or the link
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "-ERR") {
			t.Fatal(line)
		}
		if line == "PONG\r\n" {
			break
		}
	}
	go io.Copy(io.Discard, r) // ends with the link
	return info.ClientID
}

func TestTheCalloutSeesTheBrowsersAddressAndItsAnswerComesBack(t *testing.T) {
	e := start(t, options(t))
	requests := make(chan *nats.Msg, 1)
	callout := connect(t, e, engine.PartCallout)
	_, err := callout.Subscribe("$SYS.REQ.USER.AUTH", func(m *nats.Msg) {
		requests <- m
		m.Respond(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := callout.Flush(); err != nil {
		t.Fatal(err)
	}
	conn, preamble, err := e.DialLink(browser)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go io.WriteString(conn, "CONNECT {\"auth_token\":\"t\"}\r\n") // ends with the write or the link
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "-ERR 'Authorization Violation'") {
		t.Errorf("answer %q, %v", answer, err)
	}
	claims := decodePayload(t, (<-requests).Data)
	if !strings.Contains(claims, `"host":"203.0.113.9"`) || !strings.Contains(claims, `"server_id"`) {
		t.Errorf("the request has no address: %s", claims)
	}
	var info struct {
		ClientID uint64 `json:"client_id"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(preamble, []byte("INFO ")), &info); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`"id":%d,`, info.ClientID); !strings.Contains(claims, want) {
		t.Errorf("the request has no %s of INFO: %s", want, claims)
	}
}

func decodePayload(t *testing.T, token []byte) string {
	t.Helper()
	parts := strings.Split(string(token), ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManyLinksAtOnce(t *testing.T) {
	e := start(t, options(t))
	errs := make(chan error, 100)
	for range cap(errs) {
		go func() { // ends with its error
			conn, _, err := e.DialLink(browser)
			if err == nil {
				err = conn.Close()
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestALinkEndsWithTheServer(t *testing.T) {
	e := start(t, options(t))
	conn, _, err := e.DialLink(browser)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stop(t, e)
	ended := make(chan struct{})
	go func() { // ends with the link
		defer close(ended)
		io.Copy(io.Discard, conn)
	}()
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		t.Error("the link is open after Stop")
	}
}

func TestTheProxyHeaderIsByteForByte(t *testing.T) {
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	for _, c := range []struct{ name, from, want string }{
		{"version 4", "203.0.113.9:51000", signature + "\x21\x11\x00\x0c" + "\xcb\x00\x71\x09" + "\x00\x00\x00\x00" + "\xc7\x38" + "\x00\x00"},
		{"version 6", "[2001:db8::7]:443", signature + "\x21\x21\x00\x24" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x07" + strings.Repeat("\x00", 16) + "\x01\xbb" + "\x00\x00"},
	} {
		if got := string(engine.ProxyHeader(netip.MustParseAddrPort(c.from))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := string(engine.ProxyHeader(netip.AddrPort{})); got != signature+"\x20\x00\x00\x00" {
		t.Errorf("without an address: %q", got)
	}
}

func BenchmarkDialLink(b *testing.B) {
	e := start(b, options(b))
	b.ReportAllocs()
	for b.Loop() {
		conn, _, err := e.DialLink(browser)
		if err != nil {
			b.Fatal(err)
		}
		conn.Close()
	}
}
