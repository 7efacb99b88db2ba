package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// crowdCentrifugo is Centrifugo with a crowd. A status goes by a request of its own to
// its HTTP API, on the first of some connections that has its last answer: the
// publisher writes it itself, and does not wait.
type crowdCentrifugo struct {
	*centrifugoServer
	subjects int
	callers  int
	free     chan *centrifugoCaller // those that wait for no answer
	readers  sync.WaitGroup

	mu  sync.Mutex // guards err
	err error      // the first that went wrong
}

// centrifugoCallers is how many requests may be under way.
const centrifugoCallers = 16

// centrifugoCaller is one connection.
type centrifugoCaller struct {
	conn    net.Conn
	request []byte
	sent    chan struct{} // one for each request
}

func startCentrifugo(log io.Writer, binary, dir string, subjects int) (*crowdCentrifugo, error) {
	s := &crowdCentrifugo{centrifugoServer: newCentrifugo(binary, dir), subjects: subjects, free: make(chan *centrifugoCaller, centrifugoCallers)}
	if err := s.launch(log); err != nil {
		return nil, err
	}
	if err := s.dial(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// dial opens the connections.
func (s *crowdCentrifugo) dial() error {
	for range centrifugoCallers {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			return err
		}
		c := &centrifugoCaller{conn: conn, sent: make(chan struct{}, 1)}
		s.callers++
		s.readers.Go(func() { s.read(c) }) // ends with hangUp
		s.free <- c
	}
	return nil
}

// read takes the answers of one connection.
func (s *crowdCentrifugo) read(c *centrifugoCaller) {
	in := bufio.NewReader(c.conn)
	for range c.sent {
		if err := readPublished(in); err != nil {
			s.mu.Lock()
			if s.err == nil {
				s.err = err
			}
			s.mu.Unlock()
		}
		s.free <- c
	}
}

func readPublished(in *bufio.Reader) error {
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return publishRefused(answer, text)
}

func (s *crowdCentrifugo) order(row Row) (crowdOrder, error) {
	tokens, err := tokensOf([]byte(s.secret), crowdUsers(row))
	return crowdOrder{Server: Centrifugo, Address: s.address, Row: row, Tokens: tokens}, err
}

func (s *crowdCentrifugo) open(ctx context.Context, row Row, begun time.Time) (*crowd, error) {
	order, err := s.order(row)
	if err != nil {
		return nil, err
	}
	return order.open(ctx, begun)
}

func (s *crowdCentrifugo) publish(number int, payload []byte) error {
	c := <-s.free
	start := fmt.Appendf(nil, `{"channel":%q,"data":`, conversationOf(number%s.subjects))
	c.request = fmt.Appendf(c.request[:0], "POST /api/publish HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s%s}",
		s.address, s.key, len(start)+len(payload)+1, start, payload)
	_, err := c.conn.Write(c.request)
	c.sent <- struct{}{}
	return err
}

// flush waits for the answers.
func (s *crowdCentrifugo) flush(ctx context.Context) error {
	var all []*centrifugoCaller
	defer func() {
		for _, c := range all {
			s.free <- c
		}
	}()
	for len(all) < s.callers {
		select {
		case c := <-s.free:
			all = append(all, c)
		case <-ctx.Done():
			return errors.Join(errOutOfTime, fmt.Errorf("centrifugo has not answered to all: %w", ctx.Err()))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *crowdCentrifugo) close() {
	s.centrifugoServer.close() // what is under way has failed now
	s.hangUp()
}

// hangUp closes the connections: each one's reader gives it back.
func (s *crowdCentrifugo) hangUp() {
	for range s.callers {
		c := <-s.free
		_ = c.conn.Close()
		close(c.sent)
	}
	s.readers.Wait()
}

// publishRefused says whether an answer of the HTTP API tells of an error.
func publishRefused(answer *http.Response, text []byte) error {
	if answer.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"error"`)) {
		return fmt.Errorf("centrifugo refuses to publish: %s: %.300s", answer.Status, text)
	}
	return nil
}
