package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// junkProxy has this machine be a proxy in front, so that logins come from addresses
// of their own; all else is the default but for the crowd.
const junkProxy = "trusted_proxies: [\"127.0.0.1\"]\n"

// junkTimeout bounds one login.
const junkTimeout = 30 * time.Second

// RunJunk has the kinds of logins take turns and returns what they cost. Everything
// that it starts has ended when it returns.
func RunJunk(ctx context.Context, opts JunkOptions) (_ JunkReport, err error) {
	report := JunkReport{Options: opts}
	if err := opts.Validate(); err != nil {
		return report, err
	}
	log := cmp.Or(opts.Log, io.Discard)
	dir, remove, err := scratch()
	if err != nil {
		return report, err
	}
	defer remove(&err)
	s := &statuswireServer{dir: dir, binary: opts.Statuswire, subjects: 1}
	if err := s.configure(junkProxy + limitsBlock(crowdedLimits())); err != nil {
		return report, err
	}
	if err := s.launch(log); err != nil {
		return report, err
	}
	defer s.close()
	tokens, err := s.tokens([]string{"alice"})
	if err != nil {
		return report, err
	}
	c := junkClient{host: strings.TrimPrefix(s.endpoints.WS, "ws://"), token: tokens["alice"]}
	for _, kind := range junkKinds() {
		report.Kinds = append(report.Kinds, JunkRow{Kind: kind.name})
		if err := c.warmUp(kind); err != nil {
			return report, fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	for round := range opts.Rounds {
		for i, kind := range junkKinds() {
			turn, err := c.turn(ctx, s.process(), kind, opts)
			if err != nil {
				return report, fmt.Errorf("%s, round %d: %w", kind.name, round+1, err)
			}
			fmt.Fprintf(log, "round %d, %s: %v each, %.0f a second, others %.0f %%\n", round+1, kind.name, turn.PerLogin, turn.Rate, 100*turn.Others)
			report.Kinds[i].Rounds = append(report.Kinds[i].Rounds, turn)
		}
	}
	return report, nil
}

// junkClient logs in.
type junkClient struct {
	host, token string
	forgeries   atomic.Uint64
	next        atomic.Uint64 // of the addresses
}

// warmUp logs in once so that the grant is held, and as often as the address may fail.
func (c *junkClient) warmUp(kind junkKind) error {
	times := 1
	if kind.addresses == 1 {
		times = 20
		kind.code = 1008
	}
	for range times {
		if err := c.login(kind); err != nil {
			return err
		}
	}
	return nil
}

// turn measures the logins of one kind.
func (c *junkClient) turn(ctx context.Context, p *process, kind junkKind, opts JunkOptions) (JunkTurn, error) {
	w, err := newWatch(p)
	if err != nil {
		return JunkTurn{}, err
	}
	var left atomic.Int64
	left.Store(int64(opts.Logins))
	errs := make(chan error, opts.AtOnce)
	var all sync.WaitGroup
	for range opts.AtOnce {
		all.Go(func() {
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				if err := c.login(kind); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	took, err := w.stop()
	if err != nil {
		return JunkTurn{}, err
	}
	select {
	case err = <-errs:
	default:
		err = ctx.Err()
	}
	return JunkTurn{
		PerLogin: took.server / time.Duration(opts.Logins),
		Rate:     float64(opts.Logins) / took.wall.Seconds(),
		Others:   took.others + took.stolen,
	}, err
}

// login opens a socket, logs in, reads to the end of what it is told, and closes.
func (c *junkClient) login(kind junkKind) error {
	conn, err := net.DialTimeout("tcp", c.host, junkTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(junkTimeout)); err != nil {
		return err
	}
	address := c.next.Add(1) % uint64(kind.addresses)
	_, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Forwarded-For: 198.18.%d.%d\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", c.host, address>>8, address&255)
	if err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the upgrade was refused: %v %w", answer, err)
	}
	connect := fmt.Sprintf("CONNECT {\"auth_token\":%q,\"protocol\":1}\r\nPING\r\n", c.tokenOf(kind))
	if err := ws.WriteFrame(conn, ws.MaskFrame(ws.NewBinaryFrame([]byte(connect)))); err != nil {
		return err
	}
	return readLogin(conn, in, kind)
}

// tokenOf is the token, or another forgery of it.
func (c *junkClient) tokenOf(kind junkKind) string {
	if !kind.forged {
		return c.token
	}
	// The last letters stay: not every one of them can end a signature.
	end := len(c.token) - 4
	return fmt.Sprintf("%s%08x%s", c.token[:end-8], uint32(c.forgeries.Add(1)), c.token[end:])
}

// maxLoginFrame bounds what a server says at once during a login.
const maxLoginFrame = 64 << 10

// readLogin reads until the login is decided as it should be, and the socket's end.
func readLogin(conn net.Conn, in *bufio.Reader, kind junkKind) error {
	for {
		header, err := ws.ReadHeader(in)
		if err != nil {
			return err
		}
		if header.Length > maxLoginFrame {
			return fmt.Errorf("a frame of %d bytes during a login", header.Length)
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(in, payload); err != nil {
			return err
		}
		switch {
		case header.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			if uint16(code) != kind.code && kind.code != 0 || kind.code == 0 && code != ws.StatusNormalClosure {
				return fmt.Errorf("closed with %d %s", code, reason)
			}
			return nil
		case bytes.Contains(payload, []byte("PONG\r\n")):
			if kind.code != 0 {
				return errors.New("a forged token was let in")
			}
			if err := ws.WriteFrame(conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))); err != nil {
				return err
			}
		}
	}
}
