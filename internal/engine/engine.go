// Package engine runs the NATS server inside the process. It turns nats.conf, the
// table of permissions, into server options and checks what the rest of the house
// relies on; starts and stops the server; makes the streams and the bucket; and
// gives out the two kinds of connection inside the process:
//
//	Connect    a nats.Conn of one of our own parts, with that part's permissions
//	DialLink   a raw pipe for one browser's CONNECT, with the browser's address
//
// The keys of our own parts are made in New and never leave the memory, so no
// client over TCP can be one of them.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Account names of nats.conf.
const (
	AccountStatus    = "STATUS" // services and browsers, and who serves them
	AccountState     = "STATE"  // what the server keeps for itself: no client is in it
	AccountOperators = "OPS"    // operators: without JetStream, with what the others export to it
	AccountAuth      = "AUTH"   // the auth callout
	AccountSystem    = "SYS"    // the server's own events and reports: no client is in it
)

// Engine is one embedded NATS server. New makes it, Start and Stop are its one
// life. Safe for concurrent use.
type Engine struct {
	opts   Options
	logger *slog.Logger
	server *server.Options   // as parsed and checked by New
	vars   map[string]string // public keys that nats.conf names, by variable
	viewer nkeys.KeyPair
	parts  map[Part]nkeys.KeyPair

	maxSubscriptions int

	mu     sync.Mutex // guards the fields down to conns
	state  state
	srv    *server.Server // of now; nil before Start, and while another takes its place
	booted chan struct{}  // closed when the server's own Start has returned
	ending chan struct{}  // closed when the server before has ended; nil: there was none
	ports  ports          // where the server before has listened
	made   []stream       // what makeStreams has made
	conns  []*nats.Conn   // given out by Connect, closed by Stop

	troubled chan struct{} // signalled when the server has logged an error
	ended    chan struct{} // closed when Stop has ended everything
}

type state int

const (
	stateNew state = iota
	stateStarting
	stateRunning
	stateDown // one server has ended and the next one does not run yet
	stateStopped
)

// New parses and checks nats.conf and starts nothing. What is wrong in the file
// is a *ConfigError; several are joined, in the order of their lines.
func New(opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	parts, err := makePartKeys()
	if err != nil {
		return nil, err
	}
	viewer, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("cannot make the key of the viewers' pattern: %w", err)
	}
	vars, err := variables(opts, viewer, parts)
	if err != nil {
		return nil, err
	}
	parsed, raw, err := parseWhole(opts, vars)
	if err != nil {
		return nil, err
	}
	return &Engine{
		maxSubscriptions: maxSubscriptions(parsed, raw),

		opts: opts, logger: opts.Logger, server: parsed, vars: vars, viewer: viewer, parts: parts,
		troubled: make(chan struct{}, 1), ended: make(chan struct{}),
	}, nil
}

// ServerID is the server's public key as INFO and the auth callout show it; ""
// before Start, and while another server takes the place of one that has ended. Each
// has its own.
func (e *Engine) ServerID() string {
	srv, err := e.dialable()
	if err != nil {
		return ""
	}
	return srv.ID()
}

// ClientURL is where services and the nats CLI connect: "nats://127.0.0.1:4222".
// A listener on all addresses is given as the loopback one. "" before Start.
func (e *Engine) ClientURL() string {
	srv := e.running()
	if srv == nil {
		return ""
	}
	addr, ok := srv.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	host := addr.IP
	if host.IsUnspecified() {
		host = net.IPv4(127, 0, 0, 1)
	}
	scheme := "nats"
	if e.server.TLSConfig != nil {
		scheme = "tls"
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host.String(), fmt.Sprint(addr.Port)))
}

// Health is nil when the server runs and every stream can store, else what is wrong.
func (e *Engine) Health() error {
	if e.running() == nil {
		return ErrNotRunning
	}
	var errs []error
	for _, f := range e.Inspect() {
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

// NativeWebSocket reports whether nats.conf opens the server's own WebSocket
// listener, where the gateway's limits do not hold.
func (e *Engine) NativeWebSocket() bool { return e.server.Websocket.Port != 0 }

// CalloutIssuer is the public account key whose user JWTs the server takes.
func (e *Engine) CalloutIssuer() string { return e.server.AuthCallout.Issuer }

// SealsCallouts reports whether callout requests are encrypted to Keys.XKey: when
// nats.conf names an xkey, or connects servers with each other so that requests
// may leave the process.
func (e *Engine) SealsCallouts() bool { return e.server.AuthCallout.XKey != "" }

func (e *Engine) running() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != stateRunning {
		return nil
	}
	return e.srv
}

// dialable returns the server once it takes connections: Start itself connects to
// make the streams.
func (e *Engine) dialable() (*server.Server, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv == nil || e.state == stateStopped {
		return nil, ErrNotRunning
	}
	return e.srv, nil
}

// current is the way of the parts' connections to the server that there is: they
// come back to the next one by themselves.
type current struct{ engine *Engine }

// InProcessConn fills nats.InProcessConnProvider.
func (c current) InProcessConn() (net.Conn, error) {
	srv, err := c.engine.dialable()
	if err != nil {
		return nil, err
	}
	return srv.InProcessConn()
}

// wait returns when done is closed or the context has ended.
func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
