package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The floor's orders, over one connection: the index of a subject, the length of
// the frame, the frame. Length 0 asks how many sockets there are.
const orderBytes = 8

// serveFloor is the floor: it accepts sockets, never reads them, and writes each
// frame that it is told to all sockets of the subject, one write(2) each. It
// ends with its standard input.
func serveFloor(subjects int, stdin io.Reader, stdout io.Writer) error {
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	f := &floor{sockets: make([][]int, subjects)}
	fd, addr, err := listenBare()
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, addr)
	fmt.Fprintln(stdout, control.Addr())
	go func() { // the process ends with its standard input
		_, _ = io.Copy(io.Discard, stdin)
		os.Exit(0)
	}()
	go f.accept(fd)
	conn, err := control.Accept()
	if err != nil {
		return err
	}
	return f.obey(conn)
}

type floor struct {
	mu      sync.Mutex // guards what follows
	sockets [][]int    // by subject
	count   int
}

// listenBare listens without Go's poller, which would be told of every ack.
func listenBare() (fd int, addr string, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, "", err
	}
	if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, "", err
	}
	if err = unix.Listen(fd, 4096); err != nil {
		return 0, "", err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, "", err
	}
	return fd, fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port), nil
}

// accept deals the sockets out to the subjects in turn, as the crowd does.
func (f *floor) accept(listener int) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		f.mu.Lock()
		s := f.count % len(f.sockets)
		f.sockets[s] = append(f.sockets[s], fd)
		f.count++
		f.mu.Unlock()
	}
}

func (f *floor) obey(conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 64<<10)
	frame := make([]byte, 0, 4096)
	for {
		var order [orderBytes]byte
		if _, err := io.ReadFull(in, order[:]); errors.Is(err, io.EOF) {
			return nil // no more orders
		} else if err != nil {
			return err
		}
		subject, length := binary.LittleEndian.Uint32(order[:]), binary.LittleEndian.Uint32(order[4:])
		if length == 0 {
			f.mu.Lock()
			n := f.count
			f.mu.Unlock()
			if err := binary.Write(conn, binary.LittleEndian, uint32(n)); err != nil {
				return err
			}
			continue
		}
		frame = append(frame[:0], make([]byte, length)...)
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		f.mu.Lock()
		sockets := f.sockets[subject]
		f.mu.Unlock()
		for _, fd := range sockets {
			if err := writeBare(fd, frame); err != nil {
				return err
			}
		}
	}
}

// writeBare is write(2) without Go's scheduler around it. A full socket is waited for.
func writeBare(fd int, b []byte) error {
	for len(b) > 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			b = b[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		default:
			return os.NewSyscallError("write", errno)
		}
	}
	return nil
}
