package httpconn_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/limit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// rig is a real HTTP server whose connections are counted. /ok answers, /wait
// answers once released, /take has its connection taken over.
type rig struct {
	t         *testing.T
	counter   *httpconn.Counter
	addresses *limit.Counters[netip.Prefix]
	addr      string
	release   chan struct{}
	taken     chan func() // ends one that was taken over

	mu   sync.Mutex // guards hits
	hits []limit.Verdict
}

type options struct {
	perAddress, together, spare int
	dry                         bool
	exempt                      func(netip.Addr) bool
	wrap                        func(net.Listener, *httpconn.Counter) net.Listener
}

func newRig(t *testing.T, o options) *rig {
	t.Helper()
	if o.perAddress == 0 {
		o.perAddress = limit.Unlimited
	}
	r := &rig{
		t: t, release: make(chan struct{}), taken: make(chan func(), 100),
		addresses: limit.NewCounters[netip.Prefix](limit.ConnectionsPerAddress, limit.Rule{Value: o.perAddress, DryRun: o.dry}),
	}
	r.counter = httpconn.New(httpconn.Options{
		Addresses: r.addresses, Together: limit.Rule{Value: o.together, DryRun: o.dry}, Spare: o.spare, Exempt: o.exempt,
		OnHit: func(v limit.Verdict, _ netip.AddrPort) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.hits = append(r.hits, v)
		},
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("/room", func(w http.ResponseWriter, req *http.Request) {
		_, _ = fmt.Fprint(w, httpconn.From(req.Context()).Room().Name)
	})
	mux.HandleFunc("/counts", func(w http.ResponseWriter, req *http.Request) {
		network := limit.Network(netip.MustParseAddr("127.0.0.1"))
		_, _ = fmt.Fprint(w, httpconn.From(req.Context()).CountsFor(network))
	})
	mux.HandleFunc("/wait", func(w http.ResponseWriter, _ *http.Request) {
		<-r.release
		_, _ = io.WriteString(w, "waited")
	})
	mux.HandleFunc("/take", func(w http.ResponseWriter, req *http.Request) {
		c := httpconn.From(req.Context())
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		r.taken <- func() { _ = conn.Close(); c.Ended(); c.Ended() }
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	if o.wrap != nil {
		l = o.wrap(l, r.counter)
	}
	server := &http.Server{Handler: r.counter.Handler(mux), ConnContext: r.counter.Context, ConnState: r.counter.State}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
		for len(r.taken) > 0 {
			(<-r.taken)()
		}
	})
	return r
}

type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (r *rig) dial() *client {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return &client{r.t, conn, bufio.NewReader(conn)}
}

func (c *client) ask(path string) {
	_, _ = fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
}

// answer is the body, "closed" when there is none, and whether the connection ends.
func (c *client) answer() (body string, last bool) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(c.in, nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Helper()
		c.t.Fatal("no answer")
	}
	if err != nil {
		return "closed", true
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return "101", false
	}
	b, _ := io.ReadAll(resp.Body)
	return string(b), resp.Close
}

func (c *client) get(path string) (string, bool) {
	c.ask(path)
	return c.answer()
}

func (c *client) mustGet(path, want string) {
	c.t.Helper()
	if got, _ := c.get(path); got != want {
		c.t.Fatalf("GET %s: %q, want %q", path, got, want)
	}
}

func (c *client) mustAnswer(want string) {
	c.t.Helper()
	if got, _ := c.answer(); got != want {
		c.t.Fatalf("answer %q, want %q", got, want)
	}
}

// isClosed is true when the far end has closed it, waiting for that for a moment.
func (c *client) isClosed(wait time.Duration) bool {
	_ = c.conn.SetReadDeadline(time.Now().Add(wait))
	_, err := c.in.Peek(1)
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not so: %s", what)
		}
	}
}

// idles waits until so many connections are idle.
func (r *rig) idles(n int) {
	r.t.Helper()
	r.eventually(fmt.Sprint(n, " are idle"), func() bool { _, idle, _ := r.counter.Held(); return idle == n })
}

func (r *rig) nothingLeft() {
	r.t.Helper()
	r.eventually("nothing is left", func() bool {
		conns, idle, networks := r.counter.Held()
		return conns+idle+networks+r.counter.Usage().Used+r.addresses.Len() == 0
	})
}

func (r *rig) heard() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, v := range r.hits {
		names = append(names, fmt.Sprintf("%s %d/%d dry=%v", v.Name, v.Used, v.Limit, v.Dry))
	}
	return strings.Join(names, "; ")
}

func TestThreeHundredIdleConnectionsOfOneAddressAreNoMoreThanItMayHave(t *testing.T) {
	r := newRig(t, options{perAddress: 20})
	var all []*client
	for i := range 300 {
		c := r.dial()
		c.mustGet("/ok", "ok")
		r.idles(min(i+1, 20))
		all = append(all, c)
	}
	for i, c := range all { // the newest are those that are left
		if closed := i < 280; closed && !c.isClosed(patience) {
			t.Fatalf("connection %d of 300 is open", i)
		}
		if i >= 280 {
			c.mustGet("/ok", "ok")
		}
	}
	if got := r.heard(); got != "" {
		t.Errorf("making room is no refusal: %s", got)
	}
	for _, c := range all {
		_ = c.conn.Close()
	}
	r.nothingLeft()
}

func TestAnAddressHasSoManyConnectionsAtWork(t *testing.T) {
	r := newRig(t, options{perAddress: 2})
	var all []*client
	for i := range 2 + httpconn.SparePerAddress {
		c := r.dial()
		c.ask("/wait")
		all = append(all, c)
		r.eventually("it is there", func() bool { return r.counter.Usage().Used == i+1 })
	}
	if got, _ := r.dial().get("/ok"); got != "closed" {
		t.Errorf("one more: %q", got)
	}
	if got := r.heard(); got != "connections_per_address 2/2 dry=false" {
		t.Errorf("heard %q", got)
	}
	close(r.release)
	for i, c := range all { // those above the limit are answered and closed
		if body, last := c.answer(); body != "waited" || last != (i >= 2) {
			t.Errorf("connection %d: %q, the last answer: %v", i, body, last)
		}
	}
	r.idles(2)
}

func TestOneAboveTheLimitCountsOnceThereIsRoom(t *testing.T) {
	r := newRig(t, options{perAddress: 1})
	first := r.dial()
	first.ask("/wait")
	r.eventually("it is there", func() bool { return r.counter.Usage().Used == 1 })
	second := r.dial()
	r.eventually("the second too", func() bool { _, _, networks := r.counter.Held(); return networks == 1 })
	if got, last := r.dial().get("/counts"); got != "false" || !last {
		t.Errorf("a third one beside one at work counts: %s, the last answer: %v", got, last)
	}
	close(r.release)
	first.mustAnswer("waited")
	r.idles(1)
	if got, _ := second.get("/counts"); got != "true" {
		t.Errorf("the second one counts: %s", got)
	}
	if !first.isClosed(patience) {
		t.Error("the first one, which is idle, has not given way")
	}
}

func TestSilentConnectionsCountFromTheirBeginning(t *testing.T) {
	r := newRig(t, options{perAddress: 3})
	for range 3 + httpconn.SparePerAddress {
		r.dial()
	}
	if !r.dial().isClosed(patience) {
		t.Error("one more is open")
	}
}

func TestWhatWasTakenOverCountsUntilItHasEnded(t *testing.T) {
	r := newRig(t, options{perAddress: 2, together: 2, spare: 2})
	var ends []func()
	for range 2 {
		r.dial().mustGet("/take", "101")
		ends = append(ends, <-r.taken)
	}
	c := r.dial()
	if got, last := c.get("/room"); got != "connections" || !last {
		t.Errorf("a third one: no room because of %q, closed: %v", got, last)
	}
	r.eventually("it has gone", func() bool { return r.counter.Usage().Used == 2 })
	ends[0]()
	c = r.dial()
	if got, last := c.get("/room"); got != "" || last {
		t.Errorf("after the end of one: no room because of %q, closed: %v", got, last)
	}
	_ = c.conn.Close()
	ends[1]()
	r.nothingLeft()
}

func TestAllTogetherAreBounded(t *testing.T) {
	r := newRig(t, options{together: 3, spare: 2})
	idle := r.dial()
	idle.mustGet("/ok", "ok")
	r.idles(1)
	for range 3 {
		r.dial().ask("/wait")
	}
	if !idle.isClosed(patience) {
		t.Fatal("the idle one did not give way")
	}
	r.eventually("three are at work", func() bool { return r.counter.Usage().Used == 3 })
	for range 2 { // who comes above it is answered and closed
		if got, last := r.dial().get("/room"); got != "connections" || !last {
			t.Errorf("no room because of %q, closed: %v", got, last)
		}
	}
	r.eventually("they are gone", func() bool { return r.counter.Usage().Used == 3 })
	for range 2 {
		r.dial()
	}
	r.eventually("five are there", func() bool { return r.counter.Usage().Used == 5 })
	if !r.dial().isClosed(patience) {
		t.Error("a sixth is open")
	}
	if got := r.heard(); got != "connections 5/3 dry=false" {
		t.Errorf("heard %q", got)
	}
	close(r.release)
}

func TestInDryRunNobodyIsClosed(t *testing.T) {
	r := newRig(t, options{perAddress: 1, together: 1, spare: 1, dry: true})
	for range 10 {
		c := r.dial()
		c.ask("/wait")
		defer func() {
			if body, last := c.answer(); body != "waited" || last {
				t.Errorf("%q, the last answer: %v", body, last)
			}
		}()
	}
	r.eventually("all are counted", func() bool { return r.counter.Usage().Used == 10 })
	if got := r.heard(); !strings.Contains(got, "connections 1/1 dry=true") || !strings.Contains(got, "connections_per_address 1/1 dry=true") {
		t.Errorf("heard %q", got)
	}
	close(r.release)
}

func TestAProxyCountsOnlyTogetherWithAll(t *testing.T) {
	r := newRig(t, options{perAddress: 1, together: 50, exempt: netip.Addr.IsLoopback})
	for range 20 {
		r.dial().mustGet("/ok", "ok")
	}
	r.idles(20)
	if r.addresses.Len() != 0 {
		t.Error("the proxy is counted as an address")
	}
}

// headerConn stands for a connection whose first line is its address, as that of a
// PROXY header is. RemoteAddr waits for it.
type headerConn struct {
	net.Conn
	once sync.Once
	from net.Addr
}

func (h *headerConn) head() {
	h.once.Do(func() {
		b := make([]byte, len("192.0.2.1\n"))
		_, _ = io.ReadFull(h.Conn, b)
		h.from = &net.TCPAddr{IP: net.ParseIP(strings.TrimSpace(string(b))), Port: 1}
	})
}
func (h *headerConn) RemoteAddr() net.Addr       { h.head(); return h.from }
func (h *headerConn) Read(b []byte) (int, error) { h.head(); return h.Conn.Read(b) }

type headerListener struct {
	net.Listener
	counter *httpconn.Counter
}

func (l headerListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.counter.Late(&headerConn{Conn: conn}), nil
}

func TestAnAddressThatIsToldLaterCountsBeforeAnyRequest(t *testing.T) {
	r := newRig(t, options{perAddress: 2, wrap: func(l net.Listener, c *httpconn.Counter) net.Listener { return headerListener{l, c} }})
	r.dial() // says nothing, and holds up nobody
	say := func(from string) *client {
		c := r.dial()
		_, _ = io.WriteString(c.conn, from+"\n")
		return c
	}
	for range 2 + httpconn.SparePerAddress {
		say("192.0.2.1")
	}
	r.eventually("the address is counted", func() bool {
		return r.addresses.Usage(limit.Network(netip.MustParseAddr("192.0.2.1"))).Used == 2
	})
	say("192.0.2.2").mustGet("/ok", "ok")
	// Which of the silent ones came last is the server's to know.
	r.eventually("one more is closed", func() bool { return say("192.0.2.1").isClosed(50 * time.Millisecond) })
}

func TestNothingIsLeftAfterAStorm(t *testing.T) {
	r := newRig(t, options{perAddress: 5, together: 8, spare: 2})
	close(r.release)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			for j := range 30 {
				conn, err := net.Dial("tcp", r.addr)
				if err != nil {
					continue
				}
				c := &client{t, conn, bufio.NewReader(conn)}
				switch (i + j) % 4 {
				case 0:
					c.ask("/take")
					select {
					case end := <-r.taken:
						end()
					case <-time.After(20 * time.Millisecond):
					}
				case 1:
					c.ask("/ok")
					c.isClosed(5 * time.Millisecond)
				case 2:
					_, _ = io.WriteString(conn, "GET /o")
				}
				_ = conn.Close()
			}
		})
	}
	all.Wait()
	for r.eventually("all sockets have ended", func() bool { conns, _, _ := r.counter.Held(); return conns == 0 }); len(r.taken) > 0; {
		(<-r.taken)()
	}
	r.nothingLeft()
}
