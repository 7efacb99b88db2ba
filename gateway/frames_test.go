package gateway_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/limit"
)

// A payload of 64 KiB was collected from whoever had opened a socket.
func TestAPublishBeforeConnectIsRefusedBeforeItsPayloadComes(t *testing.T) {
	r := newRig(t, gateway.Options{ConnectTimeout: patience})
	for name, begun := range map[string]string{
		"a PUB of 64 KiB of which nothing comes": "PUB a 65536\r\n",
		"a PUB without a line end":               "PUB status.c1.engine ",
		"a SUB without a line end":               "S",
	} {
		t.Run(name, func(t *testing.T) {
			b := r.dial()
			b.t = t
			b.raw([]byte(begun))
			errs := b.expectClosed(1008)
			if len(errs) != 1 || errs[0] != "-ERR 'Authorization Violation: CONNECT must come first'" {
				t.Fatalf("got %q", errs)
			}
		})
	}
}

// 20 Mbit/s of pings took most of a core.
func TestFramesThatBringNoOperationAreBounded(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.Frames.Value = 5 }))
	connect := []byte(`CONNECT {"auth_token":"alice"}` + "\r\n")
	for _, tt := range []struct {
		name  string
		login bool
		frame func(i int) ws.Frame
	}{
		{"pings", true, func(int) ws.Frame { return ws.NewPingFrame([]byte("hi")) }},
		{"pings before the login", false, func(int) ws.Frame { return ws.NewPingFrame(nil) }},
		{"pongs that nobody asked for", true, func(int) ws.Frame { return ws.NewPongFrame(nil) }},
		{"empty messages", true, func(int) ws.Frame { return ws.NewBinaryFrame(nil) }},
		{"empty messages before the login", false, func(int) ws.Frame { return ws.NewTextFrame(nil) }},
		{"a message in empty pieces", true, func(i int) ws.Frame {
			if i == 0 {
				return ws.NewFrame(ws.OpBinary, false, nil)
			}
			return ws.NewFrame(ws.OpContinuation, false, nil)
		}},
		{"a CONNECT byte by byte", false, func(i int) ws.Frame {
			return ws.NewBinaryFrame(connect[i%(len(connect)-1):][:1])
		}},
		{"an operation byte by byte", true, func(i int) ws.Frame {
			return ws.NewBinaryFrame([]byte{("SUB " + strings.Repeat("x", 4000))[i%4000]})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := r.dial()
			b.t = t
			if tt.login {
				b.connect(map[string]any{"auth_token": "alice"})
			}
			var flood bytes.Buffer
			for i := range 2000 { // at five a second, minutes
				must(t, ws.WriteFrame(&flood, ws.MaskFrame(tt.frame(i))))
			}
			_, _ = b.conn.Write(flood.Bytes()) // it may be closed meanwhile
			errs := b.expectFlooded(1008)
			if len(errs) != 1 || errs[0] != "-ERR 'too many frames: at most 5 a second may bring no operation'" {
				t.Fatalf("got %q", errs)
			}
		})
	}
	eventually(t, "nothing is left", func() bool { return r.gateway.Stats().Sockets == 0 })
}

// expectFlooded is expectClosed behind any number of pongs.
func (b *browser) expectFlooded(code ws.StatusCode) (errs []string) {
	b.t.Helper()
	for {
		line := b.line()
		switch {
		case strings.HasPrefix(line, "-ERR"):
			errs = append(errs, line)
		case line == "":
			if b.code != code {
				b.t.Fatalf("closed with %d %q after %q, want %d", b.code, b.why, errs, code)
			}
			return errs
		}
	}
}

func TestOperationsDoNotCountAsFramesWithout(t *testing.T) {
	r := newRig(t, limits(func(o *limit.Options) { o.Frames.Value = 5 }))
	b := r.login("alice")
	for range 100 {
		b.send("PING")
		b.expect("PONG")
	}
	// One in five pieces has four frames without.
	for i, piece := range []string{"P", "IN", "", "G\r", "\n"} {
		op := ws.OpBinary
		if i > 0 {
			op = ws.OpContinuation
		}
		must(t, ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewFrame(op, i == 4, []byte(piece)))))
	}
	b.expect("PONG")
}

func TestFramesInDryRunAreCountedAndPass(t *testing.T) {
	var o limit.Options
	o.Frames = limit.Rule{Value: 5, DryRun: true}
	r := newRig(t, gateway.Options{Limits: o})
	b := r.login("alice")
	for range 100 {
		must(t, ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewPingFrame(nil))))
		if got := b.line(); got != "ws pong " {
			t.Fatalf("got %q", got)
		}
	}
	var hits int
	for _, rec := range r.records() {
		if rec.Limit == string(limit.Frames) && rec.DryRun && rec.User == "alice" {
			hits += rec.Count
		}
	}
	if hits == 0 {
		t.Fatal("the audit has no hit")
	}
}
