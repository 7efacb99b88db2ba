package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/outbox"
)

// batch is what each that asks would send, in bytes.
const batch = 128 << 10

// pacedReader is a browser that reads when it is told to.
type pacedReader struct {
	t    *testing.T
	out  *outbox.Outbox
	conn net.Conn
}

// newPacedReader is for a synctest bubble: the pipe takes nothing until it is read.
func newPacedReader(t *testing.T) pacedReader {
	conn, browser := net.Pipe()
	t.Cleanup(func() { browser.Close(); synctest.Wait() })
	return pacedReader{t, newOutbox(conn, 1<<20, time.Hour), browser}
}

// wait queues bytes.
func (r pacedReader) wait(n int) { r.out.Put(bytes.Repeat([]byte("x"), n)) }

func (r pacedReader) read(n int) {
	r.t.Helper()
	if _, err := io.CopyN(io.Discard, r.conn, int64(n)); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// ask asks for room for each of who; the channel brings those that got it.
func (r pacedReader) ask(ctx context.Context, who ...string) <-chan string {
	got := make(chan string, len(who))
	for _, w := range who {
		go func() { // ends with the room, the context or the socket
			if err := r.out.Ready(ctx, w, batch); err != nil {
				w = err.Error()
			}
			got <- w
		}()
		synctest.Wait()
	}
	return got
}

func (r pacedReader) expect(got <-chan string, want ...string) {
	r.t.Helper()
	synctest.Wait()
	for _, w := range want {
		select {
		case g := <-got:
			if g != w {
				r.t.Fatalf("got %q, want %q", g, w)
			}
		default:
			r.t.Fatalf("%q has no room", w)
		}
	}
	select {
	case g := <-got:
		r.t.Fatalf("%q has room already", g)
	default:
	}
}

func TestAReplayWaitsForABrowserThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPacedReader(t)
		r.expect(r.ask(t.Context(), "a"), "a") // nothing waits
		r.wait(256 << 10)
		r.expect(r.ask(t.Context(), "a"), "a") // a quarter of the queue
		r.wait(1)
		got := r.ask(t.Context(), "a")
		time.Sleep(30 * time.Minute)
		r.expect(got)
		r.read(256 << 10)
		r.expect(got, "a")
	})
}

func TestReplaysDoNotAllTakeTheSameRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPacedReader(t)
		got := r.ask(t.Context(), "a", "b", "c", "d", "e")
		r.expect(got, "a", "b", "c")
		r.out.Settle("b")
		r.expect(got, "d")
		again := r.ask(t.Context(), "a") // has sent its batch: e may, and then a
		r.expect(got, "e")
		r.expect(again)
		time.Sleep(time.Second) // c, d and e send nothing
		r.expect(again, "a")
	})
}

func TestAReplayEndsWithTheSocketOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPacedReader(t)
		r.wait(512 << 10)
		ctx, cancel := context.WithCancel(t.Context())
		got := r.ask(ctx, "first", "second in line")
		cancel()
		synctest.Wait()
		for range 2 {
			if err := <-got; err != context.Canceled.Error() {
				t.Errorf("got %q, want the context's error", err)
			}
		}
		got = r.ask(t.Context(), "a", "b")
		r.conn.Close()
		synctest.Wait()
		for range 2 {
			if err := <-got; err != net.ErrClosed.Error() {
				t.Errorf("got %q, want that the socket is closed", err)
			}
		}
		if err := r.out.Ready(t.Context(), "c", batch); !errors.Is(err, net.ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestDrainedWaitsUntilAllIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPacedReader(t)
		r.out.Drained(t.Context()) // there is nothing
		r.wait(100)
		r.wait(50)
		drained := func(ctx context.Context) <-chan struct{} {
			done := make(chan struct{})
			go func() { // ends with the queue or the context
				r.out.Drained(ctx)
				close(done)
			}()
			synctest.Wait()
			return done
		}
		over := func(done <-chan struct{}) bool {
			synctest.Wait()
			select {
			case <-done:
				return true
			default:
				return false
			}
		}
		all := drained(t.Context())
		r.read(100)
		if over(all) {
			t.Error("drained while half waits")
		}
		ctx, cancel := context.WithCancel(t.Context())
		given := drained(ctx)
		cancel()
		if !over(given) {
			t.Error("waits beyond its context")
		}
		r.read(50)
		if !over(all) {
			t.Error("all is written, and it waits")
		}
		r.wait(10)
		closed := drained(t.Context())
		r.conn.Close()
		if !over(closed) {
			t.Error("nothing will be written, and it waits")
		}
	})
}
