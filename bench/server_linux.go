package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

// server is one that is measured.
type server interface {
	process() *process
	// open opens the sockets of the row.
	open(ctx context.Context, row Row, begun time.Time) (*crowd, error)
	// publish sends the status with the number to its subject and does not wait.
	publish(number int, payload []byte) error
	// flush returns when the server has taken all that was published.
	flush(ctx context.Context) error
	close()
}

// Serve is what Options.Self does when it is called with "serve" and these
// arguments. It returns when its standard input ends, or with an error.
func Serve(args []string) error {
	if len(args) == 2 && args[0] == Floor {
		var subjects int
		if _, err := fmt.Sscan(args[1], &subjects); err != nil {
			return fmt.Errorf("subjects: %w", err)
		}
		return serveFloor(subjects, os.Stdin, os.Stdout)
	}
	if len(args) == 1 && args[0] == RawNATS {
		return serveNATS(os.Stdin, os.Stdout)
	}
	if len(args) == 1 && args[0] == "crowd" {
		return serveCrowd(os.Stdin, os.Stdout)
	}
	if len(args) == 1 && args[0] == "strangers" {
		return serveStrangers(context.Background(), os.Stdin, os.Stdout)
	}
	return fmt.Errorf("nothing is known of %q", args)
}

func startServer(ctx context.Context, name string, opts Options, dir string) (server, error) {
	switch name {
	case Floor:
		return startFloor(opts)
	case RawNATS:
		return startNATS(opts)
	case Centrifugo:
		return startCentrifugo(opts.Log, opts.Centrifugo, dir, opts.Row.Subjects)
	}
	binary := opts.Statuswire
	if name == Before {
		binary = opts.Before
	}
	return startStatuswire(ctx, opts, binary, dir)
}

type floorServer struct {
	child    *process
	addr     string
	subjects int
	orders   net.Conn
	frame    []byte
}

func startFloor(opts Options) (*floorServer, error) {
	p, err := start(opts.Log, opts.Self, "serve", Floor, fmt.Sprint(opts.Row.Subjects))
	if err != nil {
		return nil, err
	}
	s := &floorServer{child: p, subjects: opts.Row.Subjects}
	addr, err := p.line()
	if err == nil {
		s.addr = addr
		addr, err = p.line()
	}
	if err == nil {
		s.orders, err = net.Dial("tcp", addr)
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return s, nil
}

func (s *floorServer) process() *process { return s.child }

func (s *floorServer) open(ctx context.Context, row Row, begun time.Time) (*crowd, error) {
	c, err := openCrowd(ctx, s.addr, row, begun, tongue{feed: natsFeed})
	if err != nil {
		return nil, err
	}
	for n := 0; n < row.Sockets; { // until all are accepted
		if n, err = s.count(ctx); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (s *floorServer) count(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.orders.SetDeadline(deadline) // the floor may be far behind
	}
	if _, err := s.orders.Write(make([]byte, orderBytes)); err != nil {
		return 0, err
	}
	var n uint32
	err := binary.Read(s.orders, binary.LittleEndian, &n)
	_ = s.orders.SetDeadline(time.Time{})
	if err != nil {
		err = fmt.Errorf("%w: the floor does not answer: %w", errOutOfTime, err)
	}
	return int(n), err
}

func (s *floorServer) publish(number int, payload []byte) error {
	subject := number % s.subjects
	sequence, last := sequences(number, s.subjects)
	s.frame = appendFrame(append(s.frame[:0], make([]byte, orderBytes)...), subjectOf(subject), "1", sequence, last, payload)
	binary.LittleEndian.PutUint32(s.frame, uint32(subject))
	binary.LittleEndian.PutUint32(s.frame[4:], uint32(len(s.frame)-orderBytes))
	_, err := s.orders.Write(s.frame)
	return err
}

func (s *floorServer) flush(ctx context.Context) error {
	_, err := s.count(ctx)
	return err
}

func (s *floorServer) close() {
	_ = s.orders.Close()
	s.child.stop()
}

type natsServer struct {
	child    *process
	ws       string
	subjects int
	nc       *nats.Conn
}

func startNATS(opts Options) (*natsServer, error) {
	p, err := start(opts.Log, opts.Self, "serve", RawNATS)
	if err != nil {
		return nil, err
	}
	s := &natsServer{child: p, subjects: opts.Row.Subjects}
	url, err := p.line()
	if err == nil {
		s.ws, err = p.line()
	}
	if err == nil {
		s.nc, err = nats.Connect(url)
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return s, nil
}

func (s *natsServer) process() *process { return s.child }

func (s *natsServer) open(ctx context.Context, row Row, begun time.Time) (*crowd, error) {
	return openCrowd(ctx, s.ws, row, begun, natsTongue(nil, row))
}

// publish adds the headers that a stored status has, so that the bytes are the same.
func (s *natsServer) publish(number int, payload []byte) error {
	m := nats.NewMsg(subjectOf(number % s.subjects))
	sequence, last := sequences(number, s.subjects)
	m.Header["Nats-Last-Sequence"] = []string{last}
	m.Header["Nats-Sequence"] = []string{sequence}
	m.Data = payload
	return s.nc.PublishMsg(m)
}

func (s *natsServer) flush(ctx context.Context) error { return s.nc.FlushWithContext(ctx) }

func (s *natsServer) close() {
	s.nc.Close()
	s.child.stop()
}

// waitForEnd returns when the parent has closed the standard input, or is gone.
func waitForEnd(stdin io.Reader) { _, _ = io.Copy(io.Discard, stdin) }
