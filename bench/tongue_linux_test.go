package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestASocketOfCentrifugoIsFedWhatComes(t *testing.T) {
	ours, theirs := socketPair(t)
	m := &member{crowd: &crowd{subjects: 5, begun: time.Now().Add(-time.Second)}, fd: ours, next: 7}
	m.feed = centrifugoFeed(m)
	feed := func(lines ...string) error { return m.feed(serverFrame(strings.Join(lines, "\n"))) }

	if err := feed(`{"id":1,"connect":{"client":"x","ping":25,"pong":true}}`); err != nil || m.ponged {
		t.Fatalf("%v, subscribed: %v", err, m.ponged)
	}
	if err := feed(`{"id":2,"subscribe":{"epoch":"xy"}}`); err != nil || !m.ponged {
		t.Fatalf("%v, subscribed: %v", err, m.ponged)
	}
	push := func(number int) string {
		return fmt.Sprintf(`{"push":{"channel":"bench2","pub":{"data":%s,"offset":3}}}`, appendStatus(nil, 400*time.Millisecond, number))
	}
	if err := feed(push(7), push(12)); err != nil || m.next != 17 || len(m.crowd.latencies) != 2 || m.crowd.latencies[0] < 600*time.Millisecond {
		t.Fatalf("%v, %d is next, latencies %v", err, m.next, m.crowd.latencies)
	}
	if err := feed(push(22)); err == nil {
		t.Fatal("a message is missing, and there is no error")
	}
	if err := feed("{}"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	if n, err := unix.Read(theirs, answer); err != nil || string(answer[:n]) != string(appendMasked(nil, opText, []byte("{}"))) {
		t.Fatalf("a ping is answered by %q, %v", answer[:n], err)
	}
	for _, bad := range []string{`{"id":2,"error":{"code":103,"message":"permission denied"}}`, `{"push":{"channel":"bench2","pub":{"data":{}}}}`} {
		if feed(bad) == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	if m.feed([]byte{0x88, 2, 3, 0xe8}) == nil {
		t.Error("the end of the socket is no error")
	}
}

func TestCentrifugoIsToldOfEachStatusAndARefusalIsAnError(t *testing.T) {
	got := make(chan string, 100)
	refuse := atomic.Bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + " " + r.Header.Get("X-API-Key") + " " + string(body)
		if refuse.Load() {
			_, _ = io.WriteString(w, `{"error":{"code":107}}`)
			return
		}
		_, _ = io.WriteString(w, `{"result":{}}`)
	}))
	defer server.Close()
	s := &crowdCentrifugo{
		centrifugoServer: &centrifugoServer{address: server.Listener.Addr().String(), key: "key"},
		subjects:         2, free: make(chan *centrifugoCaller, centrifugoCallers),
	}
	if err := s.dial(); err != nil {
		t.Fatal(err)
	}
	defer s.hangUp()
	for n := range 40 {
		if err := s.publish(n, []byte(`{"a":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for range len(got) {
		counts[<-got]++
	}
	for _, c := range []string{"bench0", "bench1"} {
		if want := `/api/publish key {"channel":"` + c + `","data":{"a":1}}`; counts[want] != 20 {
			t.Errorf("%d times %s in %v", counts[want], want, counts)
		}
	}
	refuse.Store(true)
	if err := s.publish(0, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := s.flush(t.Context()); err == nil {
		t.Fatal("no error where Centrifugo refuses")
	}
}

func socketPair(t *testing.T) (ours, theirs int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) })
	return pair[0], pair[1]
}

func TestACrowdInAProcessOfItsOwnSaysWhyItCannotBe(t *testing.T) {
	for name, order := range map[string]string{
		"nothing":    "",
		"no order":   "{\n",
		"no address": `{"Server":"statuswire","Row":{"Sockets":1,"Subjects":1}}` + "\n",
		"nobody there": fmt.Sprintf(`{"Server":"centrifugo","Address":%q,"Row":{"Sockets":1,"Subjects":1}}`+"\n",
			closedAddress(t)),
	} {
		var said strings.Builder
		if err := serveCrowd(strings.NewReader(order), &said); err == nil || !strings.Contains(said.String(), err.Error()) {
			t.Errorf("%s: %v, and it says %q", name, err, said.String())
		}
	}
}

func closedAddress(t *testing.T) string {
	t.Helper()
	l := listen(t)
	_ = l.Close()
	return l.Addr().String()
}

// A socket that the server closes while it is held makes the run fail.
func TestACrowdTellsOfASocketThatWasClosed(t *testing.T) {
	l := listen(t)
	closed := make(chan struct{})
	go func() { // ends with the test
		defer close(closed)
		if conn := loggedIn(l); conn != nil {
			_ = conn.Close()
		}
	}()
	c, err := crowdOrder{Server: Statuswire, Address: l.Addr().String(), Row: Row{Sockets: 1, Subjects: 1, Rate: 1}}.open(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	<-closed
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.waitFor(ctx, 1); err == nil || ctx.Err() != nil {
		t.Fatalf("it says %v", err)
	}
}

// A large crowd lost its first sockets while the last ones were opened.
func TestACrowdAnswersPingsWhileItIsOpened(t *testing.T) {
	l := listen(t)
	served := make(chan error, 1)
	go func() { // ends with the test
		served <- func() error {
			first := loggedIn(l)
			if first == nil {
				return errors.New("the first socket did not log in")
			}
			defer first.Close()
			second, err := l.Accept() // so the first one has all that its login waited for
			if err != nil {
				return err
			}
			defer second.Close()
			if _, err := first.Write([]byte{0x80 | opPing, 0}); err != nil {
				return err
			}
			_ = first.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.ReadFull(first, make([]byte, len(appendMasked(nil, opPong, nil)))); err != nil {
				return fmt.Errorf("no pong: %w", err)
			}
			answerLogin(second)
			return nil
		}()
	}()
	c, err := crowdOrder{Server: Statuswire, Address: l.Addr().String(), Row: Row{Sockets: 2, Subjects: 1, Rate: 1}}.open(t.Context(), time.Now())
	if served := <-served; served != nil || err != nil {
		t.Fatal(served, err)
	}
	c.close()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// loggedIn takes a socket and answers its login, as a server would. It is nil when none
// comes.
func loggedIn(l net.Listener) net.Conn {
	conn, err := l.Accept()
	if err != nil {
		return nil
	}
	answerLogin(conn)
	return conn
}

func answerLogin(conn net.Conn) {
	buf := make([]byte, 4096)
	_, _ = conn.Read(buf)
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
	_, _ = conn.Read(buf)
	_, _ = conn.Write(serverFrame("PONG\r\n"))
}
