package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// crowd is the sockets of one server, read by one epoll loop on a thread of its
// own. They are not in Go's poller: it would be woken as well, by the server's
// write, on the server's time.
type crowd struct {
	subjects int
	begun    time.Time // what statuses' times of sending count from
	epoll    int

	received atomic.Int64
	ended    chan struct{} // closed when the loop has ended
	stopping atomic.Bool

	mu        sync.Mutex        // guards what follows
	members   map[int32]*member // by file descriptor
	list      []*member
	err       error // the first that went wrong
	latencies []time.Duration
	bytes     int64
}

// member is one socket.
type member struct {
	crowd  *crowd
	fd     int
	feed   func([]byte) error // takes what is read
	next   int                // the number of the message that comes next
	ponged bool
}

// maxPerAddress is how many sockets come from one address, and maxPerUser from
// one user: servers may bound both.
const (
	maxPerAddress = 100
	maxPerUser    = 10
)

func userOf(i int) string { return fmt.Sprintf("user%d", i/maxPerUser) }

// crowdUsers are those of the row's sockets.
func crowdUsers(row Row) (users []string) {
	for i := 0; i < row.Sockets; i += maxPerUser {
		users = append(users, userOf(i))
	}
	return users
}

// openCrowd opens the sockets one after the other and logs each in.
func openCrowd(ctx context.Context, addr string, row Row, begun time.Time, speech tongue) (*crowd, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	c := &crowd{subjects: row.Subjects, begun: begun, epoll: epoll, members: map[int32]*member{}, ended: make(chan struct{})}
	go c.read() // ends with close; those that are open are pinged while others are opened
	for i := range row.Sockets {
		if err = ctx.Err(); err != nil {
			break
		}
		m := &member{crowd: c, next: i % row.Subjects}
		m.feed = speech.feed(m)
		if m.fd, err = dial(to, i); err != nil {
			break
		}
		c.enter(m)
		if speech.hello != nil {
			if err = m.login(to.String(), speech.path, speech.hello(i)); err != nil {
				err = fmt.Errorf("socket %d: %w", i, err)
				break
			}
		}
		if err = c.watch(m); err != nil {
			break
		}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *crowd) enter(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[int32(m.fd)] = m
	c.list = append(c.list, m)
}

// dial opens a socket that blocks, from an address that it shares with few others.
func dial(to netip.AddrPort, i int) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	from := [4]byte{127, 0, 1, byte(1 + i/maxPerAddress)}
	if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: from}); err != nil {
		return 0, err
	}
	limit := unix.NsecToTimeval(int64(10 * time.Second))
	if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return 0, err
	}
	if err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return 0, err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	return fd, err
}

func (c *crowd) watch(m *member) error {
	if err := unix.SetNonblock(m.fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, m.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(m.fd)})
}

// read is the loop.
func (c *crowd) read() {
	defer close(c.ended)
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, 256<<10)
	for !c.stopping.Load() {
		n, err := unix.EpollWait(c.epoll, events, 100)
		if err != nil && !errors.Is(err, unix.EINTR) {
			c.fail(err)
			return
		}
		c.mu.Lock()
		for _, e := range events[:max(0, n)] {
			m := c.members[e.Fd]
			if err := m.take(buf); err != nil {
				if c.err == nil {
					c.err = fmt.Errorf("a socket of %d: %w", len(c.list), err)
				}
				_ = unix.EpollCtl(c.epoll, unix.EPOLL_CTL_DEL, m.fd, nil)
			}
		}
		c.mu.Unlock()
	}
}

// take reads once; mu is held.
func (m *member) take(buf []byte) error {
	n, err := unix.Read(m.fd, buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server closed it without a word")
	}
	m.crowd.bytes += int64(n)
	return m.feed(buf[:n])
}

func (m *member) message(_, body []byte) error {
	sent, number, err := parseStatus(body)
	if err != nil {
		return err
	}
	if number != m.next {
		return fmt.Errorf("message %d came where %d was due", number, m.next)
	}
	c := m.crowd
	m.next += c.subjects
	c.latencies = append(c.latencies, time.Since(c.begun)-sent)
	c.received.Add(1)
	return nil
}

func (m *member) framePing(body []byte) error { return m.send(opPong, body) }

func (m *member) ping() error { return m.send(opBinary, []byte("PONG\r\n")) }

func (m *member) pong() { m.ponged = true }

// send writes one frame.
func (m *member) send(op byte, payload []byte) error {
	return m.write(appendMasked(nil, op, payload))
}

func (m *member) write(b []byte) error {
	n, err := unix.Write(m.fd, b)
	if err == nil && n < len(b) {
		err = fmt.Errorf("the server takes only %d of %d bytes", n, len(b))
	}
	return err
}

// measured returns what was measured since the last call.
func (c *crowd) measured() (latencies []time.Duration, bytes int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	latencies, bytes = c.latencies, c.bytes
	c.latencies, c.bytes = make([]time.Duration, 0, cap(latencies)), 0
	return latencies, bytes, c.err
}

func (c *crowd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// waitFor returns when the sockets have got so many messages in all.
func (c *crowd) waitFor(ctx context.Context, messages int64) error {
	for c.received.Load() < messages {
		c.mu.Lock()
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages have arrived: %w", c.received.Load(), messages, ctx.Err())
		}
	}
	return nil
}

func (c *crowd) close() {
	c.stopping.Store(true)
	<-c.ended
	c.closeSockets()
}

func (c *crowd) closeSockets() {
	for _, m := range c.list {
		_ = unix.Close(m.fd)
	}
	_ = unix.Close(c.epoll)
}

// percentiles sorts the latencies.
func percentiles(latencies []time.Duration) (p50, p99 time.Duration) {
	if len(latencies) == 0 {
		return 0, 0
	}
	slices.Sort(latencies)
	return latencies[len(latencies)/2], latencies[len(latencies)*99/100]
}
