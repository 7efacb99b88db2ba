package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
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
	opts     Options
	opened   atomic.Uint64
	kept     atomic.Int64
}

// Options of Links.
type Options struct {
	// From is whose user JWTs are grants. Required.
	From session.Authority
	// External is for a callout of somebody else's, which sees nothing but CONNECT:
	// there `user` names all that is asked for, separated by commas. Its verdict may
	// come a little later than the server's answer.
	External bool
}

// New makes Links to the engine's server; our callout finds in sessions what is asked
// for, and there the verdict is left.
func New(engine Engine, sessions *session.Registry, opts Options) *Links {
	return &Links{engine: engine, sessions: sessions, opts: opts}
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
	if l.opts.External {
		login.User = ask.String()
	}
	connect, err := connectLine(login)
	if err != nil {
		return nil, err
	}
	// The pipe is synchronous and the server may write before it has read all,
	// so writing has a goroutine; it ends with the write or the deadline.
	go func() { _, _ = k.conn.Write(connect) }()

	answered := k.readVerdict()
	if l.opts.External {
		wait(ctx, entry, answered == nil)
	}
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
	grant, err := l.opts.From.Grant(userJWT, time.Now())
	if err == nil && ask.Join != "" && !grant.Covers(ask.Join) {
		return nil, &session.Denial{Reason: status.NotTheirs(string(ask.Join)), Final: true, User: grant.User}
	}
	return grant, err
}

// lateDenial is how long the reason of a refusal is waited for. Without it the refusal
// counts as passing.
const lateDenial = 250 * time.Millisecond

// wait waits for the verdict that belongs to the server's answer.
func wait(ctx context.Context, entry *session.Link, granted bool) {
	if !granted {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lateDenial)
		defer cancel()
	}
	select {
	case <-entry.Settled():
	case <-ctx.Done():
	}
}
