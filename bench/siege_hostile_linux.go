package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/status"
)

const (
	// hostileWorkers is how many tries of one kind may be under way at once: where the
	// server is slow, a stranger waits.
	hostileWorkers = 32
	// hostileBound is how long one try may take.
	hostileBound = 10 * time.Second
	// hostileOpening is how many connections a second are opened to be held.
	hostileOpening = 200
	// pingingSockets is how many sockets send the pings.
	pingingSockets = 4
	// lastLook is how long a connection that is held is looked at after the end.
	lastLook = time.Second
	// originBytes is how long the name of a foreign page is.
	originBytes = 2 << 10
)

// strangers are all of one /64 but for the member who pings and the one who joins.
type strangers struct {
	order
	host     string // of the HTTP address
	outcomes *outcomes
}

func newStrangers(o order) *strangers {
	return &strangers{order: o, host: strings.TrimPrefix(o.WS, "ws://"), outcomes: &outcomes{count: map[string]int{}}}
}

// order is what the strangers have to do. Their junk is signed with another secret.
func (s *siege) order() (o order, err error) {
	tokens, err := s.server.tokens([]string{pinger, joiner})
	if err != nil {
		return o, err
	}
	junk, err := tokensOf([]byte(rand.Text()+rand.Text()), []string{visitorOf(0)})
	if err != nil {
		return o, err
	}
	return order{
		WS: s.server.endpoints.WS, Pinger: tokens[pinger], Joiner: tokens[joiner], Junk: junk[visitorOf(0)],
		Hostile: s.opts.Hostile,
	}, nil
}

// hostileAddress is somewhere in the /64, another one at each call.
func hostileAddress() from {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad}
	_, _ = rand.Read(a[8:])
	return from(netip.AddrFrom16(a))
}

// besiege does it all until the context ends, and returns what was tried.
func (g *strangers) besiege(ctx context.Context) map[string]int {
	h := g.Hostile
	var all sync.WaitGroup
	paced := func(what string, perSecond int, try func(context.Context) string) {
		if perSecond > 0 {
			all.Go(func() { g.paced(ctx, what, perSecond, try) })
		}
	}
	held := func(what string, n int, hold func(context.Context) string) {
		if n > 0 {
			all.Go(func() { g.held(ctx, what, n, hold) })
		}
	}
	paced("junk token", h.JunkTokens, g.tryToken)
	paced("foreign origin", h.Origins, g.tryOrigin)
	held("idle connection", h.Idle, g.holdIdle)
	held("half a request", h.HalfRequests, g.holdHalf)
	if h.Pings > 0 {
		held("pinging socket", pingingSockets, g.holdPinging)
	}
	held("joining socket", h.Joiners, g.holdJoining)
	all.Wait()
	return g.outcomes.all()
}

// paced tries so often a second, as long as the server keeps up.
func (g *strangers) paced(ctx context.Context, what string, perSecond int, try func(context.Context) string) {
	var running sync.WaitGroup
	defer running.Wait()
	turns := make(chan struct{})
	defer close(turns)
	for range hostileWorkers {
		running.Go(func() {
			for range turns {
				bounded, cancel := context.WithTimeout(ctx, hostileBound)
				g.outcomes.add(what, try(bounded))
				cancel()
			}
		})
	}
	start := time.Now()
	for n := 0; ; n++ {
		select {
		case <-time.After(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(perSecond)))):
		case <-ctx.Done():
			return
		}
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// held keeps n of them up: what ends is begun again.
func (g *strangers) held(ctx context.Context, what string, n int, hold func(context.Context) string) {
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan struct{}, n)
	for range n {
		free <- struct{}{}
	}
	tick := time.NewTicker(time.Second / hostileOpening)
	defer tick.Stop()
	for {
		select {
		case <-free:
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		running.Go(func() {
			g.outcomes.add(what, hold(ctx))
			free <- struct{}{}
		})
	}
}

// tryToken logs in with a token that does not verify.
func (g *strangers) tryToken(ctx context.Context) string {
	conn, _, outcome := g.upgrade(ctx, hostileAddress())
	if conn == nil {
		return outcome
	}
	defer conn.Close()
	if err := wsutil.WriteClientBinary(conn, connectLine(g.Junk)); err != nil {
		return "broken"
	}
	text, err := io.ReadAll(io.LimitReader(conn, 64<<10))
	switch {
	case strings.Contains(string(text), "Authorization Violation"):
		return "refused"
	case err != nil && ctx.Err() == nil:
		return "broken"
	default:
		return "closed"
	}
}

func connectLine(token string) []byte {
	return fmt.Appendf(nil, "CONNECT {\"verbose\":false,\"protocol\":1,\"headers\":true,\"no_responders\":true,\"lang\":\"bench\",\"version\":\"1\",\"auth_token\":%q}\r\nPING\r\n", token)
}

// upgrade opens a WebSocket; a nil connection says in the outcome why not.
func (g *strangers) upgrade(ctx context.Context, address from) (net.Conn, *bufio.Reader, string) {
	dialer := ws.Dialer{NetDial: func(_ context.Context, network, addr string) (net.Conn, error) {
		conn, err := address.Dial(network, addr)
		if err != nil {
			return nil, err
		}
		return conn, conn.SetDeadline(time.Now().Add(hostileBound))
	}}
	conn, rest, _, err := dialer.Dial(ctx, g.WS)
	if err != nil {
		var refused ws.StatusError
		if errors.As(err, &refused) {
			return nil, nil, fmt.Sprintf("HTTP %d", int(refused))
		}
		return nil, nil, "not accepted"
	}
	return conn, rest, ""
}

// tryOrigin is a page of somebody else's, with a long name.
func (g *strangers) tryOrigin(ctx context.Context) string {
	return g.request(ctx, "GET / HTTP/1.1\r\nHost: "+g.host+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://"+strings.Repeat("x", originBytes)+".example\r\n\r\n")
}

func (g *strangers) request(_ context.Context, text string) string {
	conn, err := hostileAddress().Dial("tcp", g.host)
	if err != nil {
		return "not accepted"
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hostileBound))
	if _, err := io.WriteString(conn, text); err != nil {
		return "closed"
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "closed"
	}
	_ = answer.Body.Close()
	return fmt.Sprintf("HTTP %d", answer.StatusCode)
}

// holdIdle asks once, and keeps the connection.
func (g *strangers) holdIdle(ctx context.Context) string {
	return g.hold(ctx, "GET /healthz HTTP/1.1\r\nHost: "+g.host+"\r\n\r\n")
}

// holdHalf begins a request and does not end it.
func (g *strangers) holdHalf(ctx context.Context) string {
	return g.hold(ctx, "GET / HTTP/1.1\r\nHost: "+g.host+"\r\nX-Half: ")
}

// hold keeps a connection until the server ends it. At the end it looks once more: what
// the server has closed by then is not held.
func (g *strangers) hold(ctx context.Context, text string) string {
	conn, err := hostileAddress().Dial("tcp", g.host)
	if err != nil {
		return "not accepted"
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now().Add(lastLook)) })()
	if _, err := io.WriteString(conn, text); err == nil {
		_, err = io.Copy(io.Discard, conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "held to the end"
		}
	}
	return "closed by the server"
}

// holdPinging is a member's socket that pings without a pause.
func (g *strangers) holdPinging(ctx context.Context) string {
	conn, _, outcome := g.upgrade(ctx, hostileAddress())
	if conn == nil {
		return outcome
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Time{})
	if err := wsutil.WriteClientBinary(conn, connectLine(g.Pinger)); err != nil {
		return "broken"
	}
	gone := make(chan struct{})
	go func() { // ends with the connection
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn)
	}()
	// Ten at a time: what one write can carry is cheap for who sends it.
	burst := make([]byte, 0, 10*(ws.MaxControlFramePayloadSize+8))
	for range 10 {
		frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewPingFrame(make([]byte, ws.MaxControlFramePayloadSize))))
		if err != nil {
			return "broken"
		}
		burst = append(burst, frame...)
	}
	tick := time.NewTicker(time.Second * pingingSockets * 10 / time.Duration(max(g.Hostile.Pings, 10)))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := conn.Write(burst); err != nil && ctx.Err() == nil {
				return "closed by the server"
			}
		case <-gone:
			if ctx.Err() == nil {
				return "closed by the server"
			}
			return "held to the end"
		}
	}
}

// holdJoining is a member's socket that joins, and once it has the answer again.
func (g *strangers) holdJoining(ctx context.Context) string {
	nc, err := nats.Connect(g.WS, nats.Token(g.Joiner), nats.SetCustomDialer(hostileAddress()), nats.NoReconnect(), nats.Timeout(hostileBound))
	if err != nil {
		return "not accepted"
	}
	defer nc.Close()
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, hostileBound)
		answer, err := nc.RequestWithContext(bounded, status.EdgeSubject(joined, status.EdgeJoin), nil)
		cancel()
		switch {
		case nc.IsClosed():
			return "closed by the server"
		case err != nil:
			g.outcomes.add("join", "no answer")
		case len(answer.Data) > joinedBytes:
			g.outcomes.add("join", "answered")
		default:
			g.outcomes.add("join", "refused")
			select { // nobody can be refused more often than this
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return "held to the end"
}

// outcomes counts what the strangers tried.
type outcomes struct {
	mu    sync.Mutex // guards count
	count map[string]int
}

func (o *outcomes) add(what, outcome string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count[what+": "+outcome]++
}

func (o *outcomes) all() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.count)
}
