package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/gateway"
)

// shake sends the head of a request, lines without their ends, and returns the
// answer with its body and the connection.
func (r *rig) shake(lines ...string) (*http.Response, string, net.Conn, *bufio.Reader) {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "ws://"))
	must(r.t, err)
	r.t.Cleanup(func() { _ = conn.Close() })
	must(r.t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n")
	must(r.t, err)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		r.t.Fatalf("no answer to %q: %v", lines, err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, "", conn, in
	}
	body, err := io.ReadAll(resp.Body)
	must(r.t, err)
	return resp, strings.TrimSpace(string(body)), conn, in
}

// The key and the answer to it are those of RFC 6455, section 1.3.
const (
	exampleKey    = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	exampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

func TestAGoodHandshakeUpgradesHoweverItsHeadersAreSpread(t *testing.T) {
	r := newRig(t, gateway.Options{})
	for _, tt := range []struct {
		name  string
		lines []string
	}{
		{"as the RFC has it", []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"}},
		{"Connection twice, keep-alive first", []string{"Connection: keep-alive", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"}},
		{"Connection twice, Upgrade first", []string{"Connection: Upgrade", "Connection: keep-alive", "Upgrade: websocket", "Sec-WebSocket-Version: 13"}},
		{"lists and mixed case", []string{"connection: keep-alive ,\tUPGRADE,", "uPgRaDe: h2c, WebSocket", "SEC-WEBSOCKET-VERSION:   13"}},
		{"Upgrade twice", []string{"Connection: upgrade", "Upgrade: foo/2", "Upgrade: websocket", "Sec-WebSocket-Version: 13"}},
		{"subprotocols and extensions are not taken up", []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Protocol: nats, chat", "Sec-WebSocket-Protocol: x", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Sec-WebSocket-Extensions: foo"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := append([]string{"GET /ws HTTP/1.1", "Host: x", exampleKey}, tt.lines...)
			resp, body, conn, in := r.shake(lines...)
			if resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%s %q", resp.Status, body)
			}
			for name, want := range map[string]string{
				"Upgrade": "websocket", "Connection": "Upgrade", "Sec-Websocket-Accept": exampleAccept,
				"Sec-Websocket-Protocol": "", "Sec-Websocket-Extensions": "",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			b := &browser{t: t, conn: conn, in: in, pong: true}
			b.expect("INFO {")
		})
	}
}

func TestARefusedHandshakeIsAnsweredAndItsConnectionClosed(t *testing.T) {
	r := newRig(t, gateway.Options{})
	good := []string{"GET /ws HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", exampleKey}
	with := func(old, new string) []string {
		return strings.Split(strings.Replace(strings.Join(good, "\n"), old, new, 1), "\n")
	}
	without := func(line string) []string { return with(line+"\n", "") }
	for _, tt := range []struct {
		name  string
		lines []string
		code  int
		text  string
	}{
		{"another version", with(": 13", ": 8"), 426, "Sec-WebSocket-Version must be 13"},
		{"a list of versions", with(": 13", ": 13, 8"), 426, "Sec-WebSocket-Version must be 13"},
		{"two versions", with(": 13", ": 13\nSec-WebSocket-Version: 8"), 426, "Sec-WebSocket-Version must be 13"},
		{"no version", without("Sec-WebSocket-Version: 13"), 400, "Sec-WebSocket-Version is missing"},
		{"no key", append(without("Sec-WebSocket-Version: 13")[:4], "Sec-WebSocket-Version: 13"), 400, "Sec-WebSocket-Key"},
		{"two keys", append(good, exampleKey), 400, "Sec-WebSocket-Key"},
		{"a key of 24 bytes that are no base64", with("dGhlIHNhbXBsZSBub25jZQ==", "************************"), 400, "Sec-WebSocket-Key"},
		{"a key of 17 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", base64.StdEncoding.EncodeToString(make([]byte, 17))), 400, "Sec-WebSocket-Key"},
		{"Connection without Upgrade", with("Connection: Upgrade", "Connection: keep-alive"), 400, "Connection must list Upgrade"},
		{"no Upgrade", without("Upgrade: websocket"), 426, "Upgrade must list websocket"},
		{"another Upgrade", with("Upgrade: websocket", "Upgrade: h2c"), 426, "Upgrade must list websocket"},
		{"HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), 505, "begins with HTTP/1.1"},
		{"POST", with("GET", "POST"), 405, "begins with GET"},
		{"a body", append(good, "Content-Length: 7\r\n\r\nabc"), 400, "no body"},
		{"a body in pieces", append(good, "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0"), 400, "no body"},
		{"a foreign origin", append(good, "Origin: https://evil.example"), 403, "origin is not allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body, _, in := r.shake(tt.lines...)
			if resp.StatusCode != tt.code || !strings.Contains(body, tt.text) {
				t.Errorf("%s %q, want %d %q", resp.Status, body, tt.code, tt.text)
			}
			if !resp.Close {
				t.Error("the answer does not say that the connection ends")
			}
			if v := resp.Header.Get("Sec-WebSocket-Version"); (v == "13") != (tt.code == 426) {
				t.Errorf("Sec-WebSocket-Version is %q", v)
			}
			if u := resp.Header.Get("Upgrade"); (u == "websocket") != (tt.code == 426) {
				t.Errorf("Upgrade is %q", u)
			}
			if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("the connection is not closed: %v", err)
			}
		})
	}
	r.nothingHeld()
}

// A gateway that counts its own would have counted none of these: it is the far end
// that says whether the connection was closed.
func TestThreeHundredRefusedUpgradesLeaveNoConnection(t *testing.T) {
	r := newRig(t, gateway.Options{})
	var open []*bufio.Reader
	for i := range 300 {
		version := []string{"Sec-WebSocket-Version: 8", "X: y"}[i%2]
		_, _, _, in := r.shake("GET /ws HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", exampleKey, version)
		open = append(open, in)
	}
	for i, in := range open {
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	r.nothingHeld()
}

// A client may send before it has the answer (RFC 6455, section 4.1 has it wait, but
// those that log in at once do not all).
func TestWhatComesWithTheHandshakeIsRead(t *testing.T) {
	r := newRig(t, gateway.Options{})
	var early bytes.Buffer
	must(t, ws.WriteFrame(&early, ws.MaskFrame(ws.NewBinaryFrame([]byte("CONNECT {\"auth_token\":\"alice\"}\r\nPING\r\n")))))
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "ws://"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n%s\r\n\r\n%s", exampleKey, early.Bytes())
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	must(t, err)
	if resp.StatusCode != 101 {
		t.Fatal(resp.Status)
	}
	b := &browser{t: t, conn: conn, in: in, pong: true}
	b.expect("INFO {")
	b.expect("PONG")
}
