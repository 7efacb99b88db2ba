package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/statuswire/statuswire/internal/session"
)

// Engine is the embedded server.
type Engine interface {
	// ServerID is the id of the server that runs now: another may take its place,
	// and "" is none meanwhile.
	ServerID() string
	// DialLink opens an in-process connection that the server takes for the
	// browser's, and returns the server's INFO line. It is a synchronous pipe.
	DialLink(browser netip.AddrPort) (conn net.Conn, info []byte, err error)
}

// Links opens links. Safe for concurrent use.
type Links struct {
	engine   Engine
	sessions *session.Registry
	from     session.Authority
	opened   atomic.Uint64
	kept     atomic.Int64
}

// New makes Links to the engine's server; the callout finds in sessions what is asked
// for, and leaves its verdict there, which is a grant if it is from the authority.
func New(engine Engine, sessions *session.Registry, from session.Authority) *Links {
	return &Links{engine: engine, sessions: sessions, from: from}
}

// Stats counts links.
type Stats struct {
	Opened uint64 // since New
	Kept   int64  // open now, beyond their verdict
}

// Stats returns the counts of now.
func (l *Links) Stats() Stats { return Stats{Opened: l.opened.Load(), Kept: l.kept.Load()} }

// Decide has the server decide about the login and returns the grant. A denial is a
// *session.Denial; any other error is passing. It gives up at the deadline of ctx.
func (l *Links) Decide(ctx context.Context, login session.Login, ask session.Ask) (*session.Grant, error) {
	grant, k, err := l.open(ctx, login, ask)
	if err != nil {
		return nil, err
	}
	_ = k.conn.Close()
	return grant, nil
}

// Keep is Decide with a link that stays open: the server's reports show the browser,
// and a kick by the server ends it. The caller has it served, and closes it.
func (l *Links) Keep(ctx context.Context, login session.Login, ask session.Ask) (*session.Grant, *Kept, error) {
	grant, k, err := l.open(ctx, login, ask)
	if err != nil {
		return nil, nil, err
	}
	l.kept.Add(1)
	return grant, &Kept{link: k, links: l}, nil
}

func (l *Links) open(ctx context.Context, login session.Login, ask session.Ask) (*session.Grant, *link, error) {
	l.opened.Add(1)
	conn, info, err := l.engine.DialLink(login.Remote)
	if err != nil {
		return nil, nil, fmt.Errorf("open a link: %w", err)
	}
	k := newLink(conn)
	grant, err := l.handshake(ctx, k, info, login, ask)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return grant, k, nil
}

func (l *Links) handshake(ctx context.Context, k *link, info []byte, login session.Login, ask session.Ask) (*session.Grant, error) {
	deadline, _ := ctx.Deadline() // without one, none
	if err := k.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	key, err := readInfo(info)
	if err != nil {
		return nil, err
	}
	k.server = key.ServerID
	entry, err := l.sessions.Open(key, ask)
	if err != nil {
		return nil, err
	}
	defer entry.Close()
	connect, err := connectLine(login)
	if err != nil {
		return nil, err
	}
	// The pipe is synchronous and the server may write before it has read all,
	// so writing has a goroutine; it ends with the write or the deadline.
	go func() { _, _ = k.conn.Write(connect) }()

	answered := k.readVerdict()
	userJWT, denial := entry.Verdict()
	switch {
	case denial != nil && denial != session.ErrNoVerdict:
		return nil, denial
	case answered != nil:
		return nil, answered
	case denial != nil:
		return nil, denial
	}
	if err := k.conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return l.from.Grant(userJWT, time.Now())
}
