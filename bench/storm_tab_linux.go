package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// tabs are the browsers of a storm on one server.
type tabs struct {
	list      []*tab
	dialect   dialect
	connected sync.WaitGroup // connections that have not ended
	mayEnd    atomic.Bool    // the connections may end

	mu  sync.Mutex // guards what follows
	err error      // the first that went wrong
}

// dialect is how the clients of a server log in and go on.
type dialect interface {
	// open returns what t sends once its socket is upgraded, and what takes what
	// comes then.
	open(t *tab) (hello []byte, feed func([]byte) error)
}

// tab is one browser: it outlives its connections.
type tab struct {
	tabs    *tabs
	index   int
	subject int
	name    string // unique, as an unmodified client can have it

	mu   sync.Mutex // guards conn
	conn net.Conn

	// Where the server said that the newest status stands, and in what that counts
	// (Centrifugo's epoch); of the goroutine that reads the connection.
	last uint64
	mark string

	next    atomic.Int64 // number of the status that comes next; -1: any
	doubles atomic.Int64

	// Of one storm.
	missed   int64 // what has a lower number was sent before
	dialed   time.Time
	caughtUp atomic.Int64 // nanoseconds after dialed; 0: not yet
	lost     atomic.Bool  // what it has missed cannot be had any more
}

func newTabs(n, subjects int, d dialect) *tabs {
	all := &tabs{dialect: d}
	for i := range n {
		all.list = append(all.list, &tab{tabs: all, index: i, subject: i % subjects, name: rand.Text()})
	}
	return all
}

// connect opens the connections of all, at once. sent is how many statuses each
// subject has had.
func (all *tabs) connect(ctx context.Context, url string, sent int) {
	all.mayEnd.Store(false)
	for _, t := range all.list {
		t.missed = int64(sent)
		t.caughtUp.Store(0)
		t.lost.Store(false)
		all.connected.Go(func() { // ends with its connection
			if err := t.live(ctx, url); !all.mayEnd.Load() {
				all.fail(fmt.Errorf("client %d: %w", t.index, err))
			}
		})
	}
}

// cut resets every connection and returns when all have ended.
func (all *tabs) cut() {
	all.mayEnd.Store(true)
	for _, t := range all.list {
		t.reset()
	}
	all.connected.Wait()
}

func (t *tab) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tcp, ok := t.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
}

func (all *tabs) fail(err error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.err == nil {
		all.err = err
	}
}

func (all *tabs) failed() error {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.err
}

// wait returns when ok holds for every tab.
func (all *tabs) wait(ctx context.Context, what string, ok func(*tab) bool) error {
	for {
		if err := all.failed(); err != nil {
			return err
		}
		done := 0
		for _, t := range all.list {
			if ok(t) {
				done++
			}
		}
		if done == len(all.list) {
			return nil
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d clients %s: %w", done, len(all.list), what, ctx.Err())
		}
	}
}

// live is one connection, from dialing to its end.
func (t *tab) live(ctx context.Context, url string) error {
	t.dialed = time.Now()
	conn, early, _, err := ws.Dialer{Timeout: stormTimeout}.Dial(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close()
	t.mu.Lock()
	t.conn = conn
	t.mu.Unlock()
	hello, feed := t.tabs.dialect.open(t)
	if err := t.send(hello); err != nil {
		return err
	}
	in := io.Reader(conn)
	if early != nil {
		in = early
	}
	buf := make([]byte, 16<<10)
	for !t.tabs.mayEnd.Load() {
		n, err := in.Read(buf)
		if err == nil {
			err = feed(buf[:n])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// send writes one frame.
func (t *tab) send(text []byte) error { return t.sendFrame(ws.OpText, text) }

func (t *tab) sendFrame(op ws.OpCode, body []byte) error {
	t.mu.Lock()
	conn := t.conn
	t.mu.Unlock()
	_, err := conn.Write(appendMasked(nil, byte(op), body))
	return err
}

// status takes one. It may come twice across a reconnect; none may be missing.
func (t *tab) status(body []byte) error {
	_, number, err := parseStatus(body)
	if err != nil {
		return err
	}
	switch next := t.next.Load(); {
	case next >= 0 && int64(number) < next:
		t.doubles.Add(1)
		return nil
	case next >= 0 && int64(number) > next:
		return fmt.Errorf("status %d came where %d was due", number, next)
	}
	t.next.Store(int64(number) + 1)
	t.reached(int64(number) + 1)
	return nil
}

// reached notes when the tab has all that it had missed.
func (t *tab) reached(next int64) {
	if next >= t.missed && t.caughtUp.Load() == 0 && !t.lost.Load() {
		t.caughtUp.Store(int64(max(1, time.Since(t.dialed))))
	}
}

// goOn gives up what was missed: the next status may be any.
func (t *tab) goOn() {
	t.lost.Store(true)
	t.next.Store(-1)
}
