//go:build unix

package natsocket_test

import (
	"io"
	"net"
	"strconv"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/natsocket"
)

func benchMessage() *fanout.Message {
	return &fanout.Message{
		Subject: "status.c1.engine",
		Header: nats.Header{
			"Nats-Stream":        {"STATUS"},
			"Nats-Subject":       {"status.c1.engine"},
			"Nats-Sequence":      {"4711"},
			"Nats-Last-Sequence": {"4710"},
			"Nats-Time-Stamp":    {"2024-01-19T12:00:00.000000000Z"},
		},
		Data: []byte(`{"category":"engine","text":"Processing the query, step 2 of 3","timestamp":"2024-01-19T12:00:00Z","metadata":{"step":2,"total_steps":3,"tool":"search"}}`),
	}
}

// BenchmarkEncode makes the frame that all sockets with one sid share.
func BenchmarkEncode(b *testing.B) {
	m := benchMessage()
	b.ReportAllocs()
	for b.Loop() {
		natsocket.Encode(m, "1")
	}
}

// BenchmarkDeliver writes each message to a thousand sockets with some different
// sids. "tcp" are sockets on loopback that are read and thrown away in the same
// process; "drop" are datagram sockets whose receiver's buffer is full, so that the
// kernel has less to do and what is ours shows. The floors are write(2) alone.
func BenchmarkDeliver(b *testing.B) {
	const sockets, sids = 1000, 4
	for _, kind := range []struct {
		name string
		open func(b *testing.B, n int) []net.Conn
	}{{"drop", openDrop}, {"tcp", openTCP}} {
		b.Run(kind.name+"/floor", func(b *testing.B) {
			var fds []int
			for _, conn := range kind.open(b, sockets) {
				fds = append(fds, fdOf(b, conn))
			}
			frame := natsocket.Encode(benchMessage(), "1")
			b.ReportAllocs()
			for b.Loop() {
				for _, fd := range fds {
					_, _ = syscall.Write(fd, frame)
				}
			}
			reportDeliveries(b, sockets)
		})
		b.Run(kind.name+"/gateway", func(b *testing.B) {
			all := receivers(b, judge{}, kind.open(b, sockets), func(i int) string { return strconv.Itoa(1 + i%sids) })
			b.ReportAllocs()
			for b.Loop() {
				m := benchMessage()
				for _, r := range all {
					r.Deliver(m, nil)
				}
			}
			reportDeliveries(b, sockets)
		})
	}
}

func reportDeliveries(b *testing.B, sockets int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(sockets), "ns/delivery")
}

// openTCP makes pairs of sockets on loopback and reads the other ends.
func openTCP(b *testing.B, n int) []net.Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer listener.Close()
	var conns []net.Conn
	for range n {
		far, err := net.Dial("tcp", listener.Addr().String())
		must(b, err)
		near, err := listener.Accept()
		must(b, err)
		conns = append(conns, near)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(io.Discard, far)
		}()
		b.Cleanup(func() {
			_ = near.Close()
			<-done
			_ = far.Close()
		})
	}
	return conns
}

// openDrop makes sockets that send to one that never reads.
func openDrop(b *testing.B, n int) []net.Conn {
	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(b, err)
	b.Cleanup(func() { _ = sink.Close() })
	var conns []net.Conn
	for range n {
		conn, err := net.Dial("udp", sink.LocalAddr().String())
		must(b, err)
		b.Cleanup(func() { _ = conn.Close() })
		conns = append(conns, conn)
	}
	return conns
}

func fdOf(b *testing.B, conn net.Conn) (fd int) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	must(b, err)
	must(b, raw.Control(func(f uintptr) { fd = int(f) }))
	return fd
}
