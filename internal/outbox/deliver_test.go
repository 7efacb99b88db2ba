package outbox_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/outbox"
)

const (
	bound = 1000
	half  = bound / 2
)

// counting is an owner that counts what it is told.
type counting struct{ overflows, shed int }

func (c *counting) Overflow() { c.overflows++ }
func (c *counting) Shed()     { c.shed++ }

// box is an outbox on a pipe, which takes nothing until it is read: what is written is
// in the queue, and its first part in the hands of the goroutine that writes.
type box struct {
	outbox.Outbox
	told counting
	conn net.Conn
}

// inABox runs the test in a synctest bubble.
func inABox(t *testing.T, test func(t *testing.T, b *box)) {
	synctest.Test(t, func(t *testing.T) {
		conn, browser := net.Pipe()
		b := &box{conn: browser}
		b.Init(conn, outbox.Bounds{MaxBytes: bound, Stall: time.Hour}, &b.told)
		test(t, b)
		browser.Close()
		conn.Close()
	})
}

// fill has n bytes wait.
func (b *box) fill(n int) {
	b.Put(make([]byte, n))
	synctest.Wait()
}

// drain reads all there is until now.
func (b *box) drain(t *testing.T) string {
	t.Helper()
	n := b.Backlog()
	got := make([]byte, n)
	if _, err := io.ReadFull(b.conn, got); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return string(got)
}

func TestASubscriptionGetsAsManyAsItAskedFor(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		var two, all outbox.Tally
		if b.Limit(&two, 2) {
			t.Error("reached before anything came")
		}
		for i, last := range []bool{false, true, false} {
			if got := b.Deliver(&two, []byte{'a' + byte(i)}, false); got != last {
				t.Errorf("message %d is the last: %v", i, got)
			}
			if b.Deliver(&all, []byte{'x'}, false) {
				t.Error("one without a limit ended")
			}
		}
		b.End(&all)
		if b.Deliver(&all, []byte("y"), false) {
			t.Error("what has ended had its last message")
		}
		if taken, _ := b.Offer(&all, []byte("y"), false); taken {
			t.Error("what has ended took an offer")
		}
		if got, want := b.drain(t), "axbxx"; got != want {
			t.Errorf("written: %q, want %q", got, want)
		}
		if n, most := b.Counts(&two); n != 2 || most != 2 {
			t.Errorf("counted %d of %d", n, most)
		}
		if n, most := b.Counts(&all); n != 3 || most != 0 {
			t.Errorf("counted %d of %d", n, most)
		}
	})
}

func TestALimitMayHaveBeenReachedBefore(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		var tally outbox.Tally
		for range 3 {
			b.Deliver(&tally, []byte("m"), false)
		}
		for most, reached := range map[int]bool{2: true, 3: true, 4: false} {
			if got := b.Limit(&tally, most); got != reached {
				t.Errorf("%d of 3: %v", most, got)
			}
		}
	})
}

func TestAQueueGroupIsOfferedToWhoCanTakeIt(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		var tally outbox.Tally
		b.Limit(&tally, 2)
		for i, want := range []struct{ taken, last bool }{{true, false}, {true, true}, {false, false}} {
			if taken, last := b.Offer(&tally, []byte("m"), false); taken != want.taken || last != want.last {
				t.Errorf("offer %d: taken %v, last %v", i, taken, last)
			}
		}
		var other outbox.Tally
		b.fill(half + 1 - b.Backlog())
		if taken, _ := b.Offer(&other, []byte("m"), true); taken {
			t.Error("more than half full, and it took one of low priority")
		}
		if taken, _ := b.Offer(&other, []byte("m"), false); !taken {
			t.Error("more than half full, and it took none of another priority")
		}
		b.Close(nil)
		if taken, _ := b.Offer(&other, []byte("m"), false); taken {
			t.Error("closed, and it took one")
		}
	})
}

func TestLowPriorityIsLeftOutAboveHalf(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		var tally outbox.Tally
		b.fill(half)
		b.Deliver(&tally, []byte("l"), true) // half is not more than half
		b.Deliver(&tally, []byte("m"), true)
		b.Deliver(&tally, []byte("n"), false)
		if n, _ := b.Counts(&tally); n != 2 || b.told.shed != 1 || b.told.overflows != 0 {
			t.Errorf("%d delivered, told %+v", n, b.told)
		}
		if got := b.drain(t)[half:]; got != "ln" {
			t.Errorf("written: %q", got)
		}
	})
}

func TestMoreThanTheBoundEndsIt(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		b.fill(bound)
		if b.told.overflows != 0 {
			t.Fatal("the bound itself is too much")
		}
		b.Put([]byte("x"))
		b.Put([]byte("x"))
		if b.told.overflows != 1 || b.Backlog() != bound {
			t.Errorf("told %+v, %d wait", b.told, b.Backlog())
		}
		var tally outbox.Tally
		b.Deliver(&tally, []byte("y"), false)
		if b.told.overflows != 1 {
			t.Errorf("told %+v", b.told)
		}
	})
}

func TestARunIsWrittenAtOnceOrNotAtAll(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		var tally outbox.Tally
		if !b.DeliverRun(&tally, 3, []byte("abc")) {
			t.Error("not written")
		}
		if n, _ := b.Counts(&tally); n != 3 {
			t.Errorf("%d are counted", n)
		}
		var limited, ended outbox.Tally
		b.Limit(&limited, 1)
		if b.DeliverRun(&limited, 2, []byte("no")) {
			t.Error("one with a limit was not counted one by one")
		}
		b.End(&ended)
		if !b.DeliverRun(&ended, 2, []byte("no")) {
			t.Error("what has ended is to be counted one by one")
		}
		b.fill(half + 1 - b.Backlog())
		if b.DeliverRun(&tally, 2, []byte("no")) {
			t.Error("more than half full, and what may be left out was not looked for")
		}
		if got := b.drain(t); len(got) != half+1 || got[:3] != "abc" {
			t.Errorf("written: %d bytes, %q", len(got), got[:3])
		}
	})
}

func TestFreshIsWhatWasDelivered(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		var tally outbox.Tally
		b.Put([]byte("PONG"))
		if b.IsFresh() || b.TakeFresh() {
			t.Error("what nobody subscribed to asks for no receipt")
		}
		b.Deliver(&tally, []byte("m"), false)
		if !b.IsFresh() || !b.TakeFresh() || b.IsFresh() || b.TakeFresh() {
			t.Error("it is taken once")
		}
		b.SetFresh()
		if !b.TakeFresh() {
			t.Error("it was put back")
		}
		b.DeliverRun(&tally, 2, []byte("mm"))
		if !b.TakeFresh() {
			t.Error("a run was delivered")
		}
		b.End(&tally)
		b.Deliver(&tally, []byte("m"), false)
		if b.TakeFresh() {
			t.Error("nothing was delivered")
		}
	})
}

func TestWhatIsHeldComesAfterTheFirst(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		b.Hold()
		b.Put([]byte("second "))
		synctest.Wait()
		if !b.Begin([]byte("first ")) {
			t.Fatal("not begun")
		}
		if b.Begin([]byte("again")) {
			t.Error("begun twice")
		}
		if !b.Seal() {
			t.Error("it has begun")
		}
		synctest.Wait()
		finished := b.Close([]byte("last"))
		if got, want := b.drain(t), "first second last"; got != want {
			t.Errorf("written: %q, want %q", got, want)
		}
		<-finished
		<-b.Finished()
	})
}

func TestWhatIsSealedSaysItsLastWordAlone(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		b.Hold()
		b.Put([]byte("never"))
		if b.Seal() {
			t.Error("it has not begun")
		}
		if b.Begin([]byte("never")) {
			t.Error("begun although sealed")
		}
		finished := b.Close([]byte("last"))
		synctest.Wait()
		if got := b.drain(t); got != "last" {
			t.Errorf("written: %q", got)
		}
		<-finished
	})
}

func TestNothingBeginsWhenItIsClosed(t *testing.T) {
	inABox(t, func(t *testing.T, b *box) {
		b.Hold()
		<-b.Close(nil)
		if b.Begin([]byte("never")) {
			t.Error("begun although closed")
		}
		b.Put([]byte("never"))
		if n := b.Backlog(); n != 0 {
			t.Errorf("%d bytes wait", n)
		}
	})
	inABox(t, func(t *testing.T, b *box) { // not held: there is nothing to begin
		if b.Begin([]byte("never")) {
			t.Error("begun although it was not held")
		}
	})
}

// With a socket of the kernel's nothing waits in between.
func TestASocketThatTakesItGetsItAtOnce(t *testing.T) {
	conn, browser := tcpPair(t)
	out := newOutbox(conn, 64<<20, time.Minute)
	out.Put([]byte("a"))
	if n := out.Backlog(); n != 0 {
		t.Errorf("%d bytes wait", n)
	}
	// More than the kernel takes: the rest waits, in order.
	large := bytes.Repeat([]byte("b"), 32<<20)
	out.Put(large)
	if n := out.Backlog(); n == 0 || n >= len(large) {
		t.Errorf("%d of %d bytes wait", n, len(large))
	}
	out.Put([]byte("c"))
	finished := out.Close([]byte("d"))
	all := make(chan []byte, 1)
	go func() { // ends with the connection
		got, _ := io.ReadAll(browser)
		all <- got
	}()
	<-finished
	must(t, conn.Close())
	if got := <-all; len(got) != len(large)+3 || got[0] != 'a' || !bytes.Equal(got[1:len(got)-2], large) || string(got[len(got)-2:]) != "cd" {
		t.Errorf("%d bytes, the first %q, the last %q", len(got), got[:1], got[len(got)-2:])
	}
}

func TestASocketThatIsGoneTakesNothing(t *testing.T) {
	conn, browser := tcpPair(t)
	out := newOutbox(conn, 1<<20, time.Minute)
	must(t, browser.(*net.TCPConn).SetLinger(0))
	must(t, browser.Close()) // a reset
	eventually(t, "the socket is seen to be gone", func() bool {
		out.Put([]byte("x"))
		select {
		case <-out.Finished():
			return true
		default:
			return false
		}
	})
	if n := out.Backlog(); n != 0 {
		t.Errorf("%d bytes wait", n)
	}
}

func tcpPair(t *testing.T) (conn, browser net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	browser, err = net.Dial("tcp", listener.Addr().String())
	must(t, err)
	conn, err = listener.Accept()
	must(t, err)
	t.Cleanup(func() { conn.Close(); browser.Close() })
	return conn, browser
}
