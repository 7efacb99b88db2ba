package app_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/logtest"
)

// whole sends the text and waits until the server has closed the connection.
func whole(t *testing.T, addr, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, text) // the server may not want all of it
	_, _ = io.ReadAll(conn)
}

// Whoever reaches a listener, without any login, writes little: every line is cut,
// and of lines that are alike there are few.
func TestAStrangerCannotFloodTheLog(t *testing.T) {
	log := &logtest.Log{}
	a := newApp(t, app.Options{
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Gateway: gateway.Options{
			TrustedProxies: loopback, // so that the stranger is many
		},
	})
	start(t, a)
	began := len(log.String())
	http, nats := strings.TrimPrefix(a.Endpoints().HTTP, "http://"), strings.TrimPrefix(a.Endpoints().NATS, "nats://")
	const rounds = 100
	long := strings.Repeat("x", 8<<10)
	for i := range rounds {
		head := fmt.Sprintf("Host: x\r\nX-Forwarded-For: 10.0.%d.%d\r\nOrigin: https://%d-%s\r\n", i/200, i%200, i, long)
		upgradeFrom := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
		whole(t, http, "GET /ws HTTP/1.1\r\n"+head+upgradeFrom+"\r\n")
		whole(t, http, "GET /v1/conversations/c1/events HTTP/1.1\r\n"+head+"\r\n")
		whole(t, http, "GET /v1/conversations/"+long[:1000]+"/history HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+long+"\r\n\r\n")
		whole(t, http, long+"\r\n\r\n")
		whole(t, nats, "CONNECT {\"auth_token\":\"x\",\"name\":\""+long[:3000]+"\"}\r\nPING\r\n")
		whole(t, nats, "SUB "+long+"\r\n")
	}
	stop(t, a)
	text := log.String()[began:]
	if len(text) > 64<<10 {
		t.Errorf("%d bytes for %d rounds:\n%.4000s", len(text), rounds, text)
	}
	for line := range strings.Lines(text) {
		if len(line) > 1024 {
			t.Errorf("a line of %d bytes: %.200s", len(line), line)
		}
	}
	for _, want := range []string{`msg="request refused: origin not allowed" origin=https://0-xxx`, "log lines were left out", "msg=stopped step=\"stop the NATS server\""} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s:\n%.4000s", want, text)
		}
	}
}
