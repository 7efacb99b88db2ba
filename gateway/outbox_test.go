package gateway_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/session"
)

// A socket keeps the write deadline that its queue was last written under. When
// that had passed, direct writes failed for it, and the frames were lost unseen.
func TestABrowserThatWasSlowOnceStillGetsWhatIsWrittenLongAfter(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	browser, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	defer browser.Close()
	conn, err := listener.Accept()
	must(t, err)
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	must(t, err)

	const stall = 500 * time.Millisecond
	out := gateway.NewOutbox(conn, 64<<20, stall)
	must(t, browser.SetReadDeadline(time.Now().Add(patience)))
	frame := bytes.Repeat([]byte("x"), 64<<10)
	sent := 0
	for out.Backlog() == 0 { // until the kernel takes no more
		out.Frame(frame)
		sent += len(frame)
	}
	_, err = io.CopyN(io.Discard, browser, int64(sent))
	must(t, err)
	eventually(t, "the queue is empty and its deadline has passed", func() bool {
		return out.Backlog() == 0 && errors.Is(raw.Write(func(uintptr) bool { return true }), os.ErrDeadlineExceeded)
	})

	out.Frame([]byte("later"))
	got := make([]byte, len("later"))
	_, err = io.ReadFull(browser, got)
	must(t, err)
	if string(got) != "later" {
		t.Fatalf("got %q", got)
	}
}

func TestARunIsWrittenAtOnceButForWhatTheBrowserMayNotHave(t *testing.T) {
	run := &fanout.Run{}
	var frames [][]byte
	for _, category := range []string{"engine", "secret", "tool"} {
		m := &fanout.Message{Subject: "status.c1." + category, Data: []byte("x")}
		run.Messages = append(run.Messages, m)
		frames = append(frames, gateway.Encode(m, "7"))
	}
	for _, c := range []struct {
		name string
		most int
		deny string
		want [][]byte
	}{
		{"without a bound all of it", 0, "", frames},
		{"with a maximum within the run what is due", 2, "", frames[:2]},
		{"with a maximum above it all of it", 4, "", frames},
		{"with a subject denied the others", 0, "status.c1.secret", [][]byte{frames[0], frames[2]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, browser := net.Pipe() // not the kernel's: all goes through the queue
			defer browser.Close()
			defer conn.Close()
			r := gateway.Receivers([]net.Conn{conn}, func(int) string { return "7" })[0].(fanout.RunReceiver)
			gateway.LimitTo(r, c.most)
			if c.deny != "" {
				gateway.FilterBy(r, grantWithout(t, c.deny))
			}
			r.DeliverRun(run, nil)
			must(t, browser.SetReadDeadline(time.Now().Add(patience)))
			want := bytes.Join(c.want, nil)
			got := make([]byte, len(want))
			_, err := io.ReadFull(browser, got)
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			eventually(t, "nothing else waits", func() bool { return gateway.BacklogOf(r) == 0 })
		})
	}
}

// grantWithout is for status.c1.* but for one subject.
func grantWithout(t *testing.T, denied string) *session.Grant {
	t.Helper()
	account, err := nkeys.CreateAccount()
	must(t, err)
	user, err := nkeys.CreateUser()
	must(t, err)
	public, err := user.PublicKey()
	must(t, err)
	claims := jwt.NewUserClaims(public)
	claims.Sub.Allow.Add("status.c1.*")
	claims.Sub.Deny.Add(denied)
	signed, err := claims.Encode(account)
	must(t, err)
	grant, err := session.ParseGrant(signed)
	must(t, err)
	return grant
}
