package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/session"
)

// link is an in-process connection by which the server authenticates a browser.
type link struct {
	conn   net.Conn
	in     *bufio.Reader
	server string // the id of the server that it leads to
}

// maxLinkLine bounds a line that the server sends on a link; INFO is the longest.
const maxLinkLine = 32 << 10

// verdict opens a link, has the server ask the callout, and returns the grant.
// The link is open still; the caller closes or keeps it. A denial is a
// *session.Denial.
func (g *Gateway) verdict(ctx context.Context, s *socket, opts connectOptions, ask session.Ask) (*session.Grant, *link, error) {
	select {
	case g.linkSlots <- struct{}{}:
		defer func() { <-g.linkSlots }()
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("wait for a link: %w", ctx.Err())
	}
	g.links.Add(1)
	conn, info, err := g.deps.Engine.DialLink(s.remote)
	if err != nil {
		return nil, nil, fmt.Errorf("open a link: %w", err)
	}
	l := &link{conn: conn, in: bufio.NewReaderSize(conn, 2048)}
	grant, err := g.handshake(ctx, l, info, opts, ask)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return grant, l, nil
}

func (g *Gateway) handshake(ctx context.Context, l *link, info []byte, opts connectOptions, ask session.Ask) (*session.Grant, error) {
	deadline := time.Now().Add(g.opts.VerdictTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := l.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	key, err := readInfo(info)
	if err != nil {
		return nil, err
	}
	l.server = key.ServerID
	entry, err := g.deps.Sessions.Open(key, ask)
	if err != nil {
		return nil, err
	}
	defer entry.Close()
	connect, err := linkConnect(opts)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(connect)+32), "CONNECT "...)
	out = append(out, connect...)
	out = append(out, "\r\nPING\r\n"...)
	// The pipe is synchronous and the server may write before it has read all,
	// so writing has a goroutine; it ends with the write or the deadline.
	go func() { _, _ = l.conn.Write(out) }()

	answered := l.readVerdict()
	userJWT, denial := entry.Verdict()
	switch {
	case denial != nil && denial != session.ErrNoVerdict:
		return nil, denial
	case answered != nil:
		return nil, answered
	case denial != nil:
		return nil, denial
	}
	if err := l.conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return session.ParseGrant(userJWT)
}

// readInfo returns what the server calls the link, in its INFO. Another server may
// take its place at any time: what was asked of the engine may be of the next one.
func readInfo(line []byte) (session.Key, error) {
	body, ok := bytes.CutPrefix(line, []byte("INFO "))
	var info struct {
		ServerID string `json:"server_id"`
		ClientID uint64 `json:"client_id"`
	}
	if !ok || json.Unmarshal(body, &info) != nil || info.ClientID == 0 || info.ServerID == "" {
		return session.Key{}, errors.New("the server's first line on a link is no INFO with a server id and a client id")
	}
	return session.Key{ServerID: info.ServerID, ClientID: info.ClientID}, nil
}

// readVerdict returns nil when the server let the link in.
func (l *link) readVerdict() error {
	for {
		line, err := l.readLine()
		switch {
		case err != nil:
			return fmt.Errorf("the link ended without a verdict: %w", err)
		case bytes.HasPrefix(line, []byte("PONG")):
			return nil
		case bytes.HasPrefix(line, []byte("-ERR")):
			return fmt.Errorf("the server refused a link: %s", bytes.TrimSpace(line))
		}
	}
}

// readLine reads one line, bounded.
func (l *link) readLine() ([]byte, error) {
	var line []byte
	for {
		piece, err := l.in.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case err == nil:
			return line, nil
		case err != bufio.ErrBufferFull:
			return nil, err
		case len(line) > maxLinkLine:
			return nil, fmt.Errorf("a line of more than %d bytes", maxLinkLine)
		}
	}
}

// keptLink is a link that lives as long as its socket, so that the server's
// reports show the browser and a kick by the server ends it.
type keptLink struct {
	link   *link
	closed atomic.Bool // by us
}

// keepLink makes l the socket's link, in place of an earlier one.
func (s *socket) keepLink(l *link) {
	k := &keptLink{link: l}
	s.mu.Lock()
	old := s.link
	s.link = k
	s.mu.Unlock()
	if old != nil {
		old.close()
	}
	s.gateway.linksKept.Add(1)
	s.gateway.running.Go(func() {
		defer s.gateway.linksKept.Add(-1)
		last := k.serve()
		if !k.closed.Load() {
			s.close(closeLinkEnded(last, k.link.server == s.gateway.deps.Engine.ServerID()))
		}
	})
	if s.isClosing() {
		k.close()
	}
}

// serve answers the server's pings until the link ends. It returns the server's last
// word, if it had one.
func (k *keptLink) serve() (last string) {
	for {
		line, err := k.link.readLine()
		isErr := bytes.HasPrefix(line, []byte("-ERR"))
		if err != nil || isErr {
			_ = k.link.conn.Close()
			if isErr {
				return string(line)
			}
			return ""
		}
		if bytes.HasPrefix(line, []byte("PING")) {
			if _, err := k.link.conn.Write([]byte(natsproto.PongLine)); err != nil {
				return ""
			}
		}
	}
}

func (k *keptLink) close() {
	k.closed.Store(true)
	_ = k.link.conn.Close()
}
