package engine_test

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/logtest"
	"github.com/statuswire/statuswire/internal/noise"
)

// Whoever reaches the listener can have nats-server write a line for each
// connection, with a name of their own in it.
func TestAFloodOfBadConnectionsWritesFewLinesAndHidesNoOther(t *testing.T) {
	var out logtest.Log
	h := noise.New(slog.NewTextHandler(&out, nil), noise.Options{Network: limit.Network})
	defer h.Close()
	opts := options(t)
	opts.Logger = slog.New(h)
	e := start(t, opts)
	const connections = 200
	for range connections {
		conn, err := net.Dial("tcp", strings.TrimPrefix(e.ClientURL(), "nats://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "CONNCT "+strings.Repeat("x", 100)+"\r\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(conn) // until the server closes it
		_ = conn.Close()
	}
	// Another one of the same kind of line, from elsewhere: a browser, whose link the
	// server logs as a pipe.
	conn, _, err := e.DialLink(browser)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, "CONNCT \r\n") }() // ends with the write or the link
	_, _ = io.ReadAll(conn)
	_ = conn.Close()
	// And one of our own parts.
	nc := connect(t, e, engine.PartEdge, nats.NoReconnect())
	if err := nc.Publish("edge.forbidden", nil); err != nil {
		t.Fatal(err)
	}
	_ = nc.Flush()
	stop(t, e)
	h.Close()

	text := out.String()
	if n := strings.Count(text, "\n"); n > 20 {
		t.Errorf("%d lines for %d connections:\n%.2000s", n, connections, text)
	}
	for _, want := range []string{
		"pipe - cid:", "log lines were left out", `like="a connection of the NATS server"`, "part=edge",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %q:\n%s", want, text)
		}
	}
}
