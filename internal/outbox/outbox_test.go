package outbox_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/outbox"
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
	out := newOutbox(conn, 64<<20, stall)
	must(t, browser.SetReadDeadline(time.Now().Add(patience)))
	frame := bytes.Repeat([]byte("x"), 64<<10)
	sent := 0
	for out.Backlog() == 0 { // until the kernel takes no more
		out.Put(frame)
		sent += len(frame)
	}
	_, err = io.CopyN(io.Discard, browser, int64(sent))
	must(t, err)
	eventually(t, "the queue is empty and its deadline has passed", func() bool {
		return out.Backlog() == 0 && errors.Is(raw.Write(func(uintptr) bool { return true }), os.ErrDeadlineExceeded)
	})

	out.Put([]byte("later"))
	got := make([]byte, len("later"))
	_, err = io.ReadFull(browser, got)
	must(t, err)
	if string(got) != "later" {
		t.Fatalf("got %q", got)
	}
}

func newOutbox(conn net.Conn, maxBytes int, stall time.Duration) *outbox.Outbox {
	var out outbox.Outbox
	out.Init(conn, outbox.Bounds{MaxBytes: maxBytes, Stall: stall}, nobody{})
	return &out
}

// nobody owns an outbox.
type nobody struct{}

func (nobody) Overflow() {}
func (nobody) Shed()     {}

// patience bounds every wait; nothing here takes nearly as long.
const patience = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
