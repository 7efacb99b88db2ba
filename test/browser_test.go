//go:build e2e

package test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const browserTimeout = 10 * time.Second // of one read

// browser speaks the NATS protocol over a raw WebSocket, for what no client
// library lets through.
type browser struct {
	conn  net.Conn
	lines *bufio.Reader
}

// openBrowser connects and reads INFO. CONNECT is the caller's to send.
func openBrowser(t testing.TB, s *statuswire) *browser {
	t.Helper()
	conn, buffered, _, err := ws.Dial(t.Context(), s.WS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var raw io.Reader = conn
	if buffered != nil { // frames that came with the handshake
		raw = io.MultiReader(buffered, conn)
	}
	b := &browser{conn: conn, lines: bufio.NewReader(&frames{conn: readWriter{raw, conn}})}
	if line := b.line(t); !strings.HasPrefix(line, "INFO {") {
		t.Fatalf("first line %q, want INFO", line)
	}
	return b
}

// logIn sends CONNECT with the token, and options beside it, and waits for the PONG.
func (b *browser) logIn(t testing.TB, token string, options map[string]any) {
	t.Helper()
	connect := map[string]any{"auth_token": token, "verbose": false, "protocol": 1, "headers": true, "no_responders": true}
	for name, value := range options {
		connect[name] = value
	}
	text, err := json.Marshal(connect)
	if err != nil {
		t.Fatal(err)
	}
	b.send(t, "CONNECT "+string(text)+"\r\nPING\r\n")
	for {
		switch line := b.line(t); {
		case line == "PONG":
			return
		case strings.HasPrefix(line, "-ERR"):
			t.Fatalf("login: %s", line)
		}
	}
}

// send writes one frame.
func (b *browser) send(t testing.TB, text string) {
	t.Helper()
	if err := wsutil.WriteClientBinary(b.conn, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// line reads the next line of the protocol, without its end.
func (b *browser) line(t testing.TB) string {
	t.Helper()
	if err := b.conn.SetReadDeadline(time.Now().Add(browserTimeout)); err != nil {
		t.Fatal(err)
	}
	line, err := b.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("after %q: %v", line, err)
	}
	return strings.TrimRight(line, "\r\n")
}

// frames is what the server sends as one stream of bytes; pings are answered.
type frames struct {
	conn io.ReadWriter
	rest []byte
}

func (f *frames) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		data, _, err := wsutil.ReadServerData(f.conn)
		if err != nil {
			return 0, err
		}
		f.rest = data
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// readWriter puts the two halves together.
type readWriter struct {
	io.Reader
	io.Writer
}
