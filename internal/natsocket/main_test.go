package natsocket_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/browser"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/natsocket"
	"github.com/statuswire/statuswire/internal/readbuf"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; nothing here takes nearly as long.
const patience = 20 * time.Second

// judge grants everybody the same, who may see nothing else.
type judge struct{ sub jwt.Permission }

func (j judge) Decide(context.Context, session.Login, session.Ask) (*session.Grant, error) {
	claims := jwt.NewUserClaims("of a test")
	claims.Name = "alice"
	claims.Sub = j.sub
	return session.GrantOf(claims)
}

func (judge) Admits(context.Context, status.ConversationID, status.UserID) (bool, error) {
	return false, nil
}

func (judge) Categories(context.Context, status.ConversationID) ([]status.Category, error) {
	return status.DefaultCategories(), nil
}

// noPlace takes nothing of any limit.
type noPlace struct{}

func (noPlace) MayFail() limit.Verdict               { return limit.Verdict{} }
func (noPlace) Failed()                              {}
func (noPlace) LoggedIn(status.UserID) limit.Verdict { return limit.Verdict{} }
func (noPlace) LogOut()                              {}
func (noPlace) Leave()                               {}

// newEndpoint is one without anything behind it.
func newEndpoint(tb testing.TB, j judge) *natsocket.Endpoint {
	limits := limit.DefaultOptions()
	logger := slog.New(slog.DiscardHandler)
	a := access.New(access.Deps{Verdicts: j, Directory: j}, access.Options{
		MaxTokenBytes: 4096, VerdictTimeout: patience, LoginTimeout: patience, MaxVerdicts: 1,
		GrantChanges: limits.GrantChanges, Idle: access.IdleOptions{}.WithDefaults(), Logger: logger,
	})
	hub := browser.NewHub(browser.Deps{Access: a}, browser.Options{
		Limits: limits, MaxQueueBytes: 1 << 20, Stall: time.Minute, ReceiptInterval: time.Second, Logger: logger,
	})
	limits.Frames.Value = limit.Unlimited // it is by the clock, and the same input is to have the same end
	e, err := natsocket.New(hub, natsocket.Options{
		MaxControlLineBytes: 4096, MaxPayloadBytes: 64 << 10, Operations: limits.Operations, Frames: limits.Frames,
		ConnectTimeout: time.Minute, PingInterval: time.Minute, PongTimeout: time.Minute, Logger: logger,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { a.Stop(context.Background()) })
	return e
}

// readFrames reads the pieces as one socket's input and says how the socket ends.
func readFrames(e *natsocket.Endpoint, pieces ...[]byte) (err string, code uint16, reason string) {
	conn := &deafConn{pieces: pieces}
	s := e.Socket(conn, readbuf.New(nil, conn), netip.AddrPort{}, noPlace{}, "")
	end := s.ReadAll()
	return end.Err, uint16(end.Code), end.Reason
}

// receivers are subscriptions that write to the connections, each to its own, for
// browsers that were granted what j grants.
func receivers(tb testing.TB, j judge, conns []net.Conn, sid func(i int) string) []fanout.Receiver {
	e := newEndpoint(tb, j)
	all := make([]fanout.Receiver, len(conns))
	for i, conn := range conns {
		s := e.Socket(conn, nil, netip.AddrPort{}, noPlace{}, "")
		if err := s.LogIn(session.Login{Token: "token"}, ""); err != nil {
			tb.Fatal(err)
		}
		all[i] = s.Receiver("status.c1.engine", sid(i))
	}
	return all
}

// deafConn gives its pieces one after the other and takes whatever is written.
type deafConn struct {
	net.Conn
	pieces [][]byte
}

func (c *deafConn) Read(p []byte) (int, error) {
	for len(c.pieces) > 0 {
		n := copy(p, c.pieces[0])
		c.pieces[0] = c.pieces[0][n:]
		if len(c.pieces[0]) == 0 {
			c.pieces = c.pieces[1:]
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

func (c *deafConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *deafConn) Close() error                     { return nil }
func (c *deafConn) SetReadDeadline(time.Time) error  { return nil }
func (c *deafConn) SetWriteDeadline(time.Time) error { return nil }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
