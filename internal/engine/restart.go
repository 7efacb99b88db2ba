package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/storage"
)

const (
	// endTimeout bounds the end of a server that is to be replaced: it writes what
	// it has to a disk that may hang.
	endTimeout = 30 * time.Second
	// backTimeout bounds the wait for the parts' connections, which come back by
	// themselves.
	backTimeout = 5 * time.Second
	backEvery   = 10 * time.Millisecond
)

// Restart ends the server and starts another one in its place, on the same folder
// and the same addresses. Only that ends a stream's write error, and a JetStream
// that has shut itself down (nats-server 2.15.2): with JetStream alone switched off
// and on again the streams do not come back. Our parts' connections come back by
// themselves, and are back when it returns; those of services as well.
//
// It returns the streams that began anew because there was nothing of them in the
// folder. An error that wraps storage.ErrStuck says that the server before has not
// ended, another that there is no server now: in both cases it may be called again.
func (e *Engine) Restart(ctx context.Context) (anew []string, err error) {
	before, err := e.goDown()
	if err != nil {
		return nil, err
	}
	if err := e.awaitEnd(ctx); err != nil {
		return nil, err
	}
	if err := e.boot(ctx); err != nil {
		e.retire()
		return nil, fmt.Errorf("cannot start the NATS server anew: %w", err)
	}
	e.bringBack(ctx)
	if !e.enter(stateRunning) {
		return nil, ErrNotRunning // stopped meanwhile
	}
	return e.begunSince(before), nil
}

// goDown ends the server, and returns the streams that it had.
func (e *Engine) goDown() ([]stream, error) {
	e.mu.Lock()
	if e.state != stateRunning && e.state != stateDown {
		e.mu.Unlock()
		return nil, ErrNotRunning
	}
	e.state = stateDown
	before := e.made
	e.mu.Unlock()
	e.retire()
	return before, nil
}

// awaitEnd waits for the server before: two must never have one folder.
func (e *Engine) awaitEnd(ctx context.Context) error {
	e.mu.Lock()
	ending := e.ending
	e.mu.Unlock()
	if ending == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if err := wait(ctx, ending); err != nil {
		return errors.Join(storage.ErrStuck, err)
	}
	return nil
}

// bringBack waits for the parts' connections, so that services find all of them.
func (e *Engine) bringBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, backTimeout)
	defer cancel()
	srv, err := e.dialable()
	if err != nil {
		return
	}
	e.mu.Lock()
	conns := slices.Clone(e.conns)
	e.mu.Unlock()
	tick := time.NewTicker(backEvery)
	defer tick.Stop()
	for {
		conns = slices.DeleteFunc(conns, func(nc *nats.Conn) bool {
			if nc.IsReconnecting() {
				_ = nc.ForceReconnect() // fails when it was closed
			}
			return nc.IsClosed() || nc.ConnectedServerId() == srv.ID()
		})
		if len(conns) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			e.logger.Warn("connections of our own parts are not back yet", "connections", len(conns))
			return
		}
	}
}

// HangUp closes the connections that Connect gave out: when there will be no server
// any more, whoever stops need not wait for its answers.
func (e *Engine) HangUp() {
	e.mu.Lock()
	conns := slices.Clone(e.conns)
	e.mu.Unlock()
	for _, nc := range conns {
		nc.Close()
	}
}

// begunSince are the streams of now that were begun after those before. A name that
// was not there before is no news.
func (e *Engine) begunSince(before []stream) (anew []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.made {
		if slices.ContainsFunc(before, func(b stream) bool { return b.is(s) && !b.created.Equal(s.created) }) {
			anew = append(anew, s.name)
		}
	}
	return anew
}

// ports are those of a server's listeners; zero is not known.
type ports struct{ client, cluster, webSocket int }

// settle remembers where the server listens: a free port is picked only once.
func (e *Engine) settle(srv *server.Server) {
	var p ports
	if addr, ok := srv.Addr().(*net.TCPAddr); ok {
		p.client = addr.Port
	}
	if addr := srv.ClusterAddr(); addr != nil {
		p.cluster = addr.Port
	}
	if u, err := url.Parse(srv.WebsocketURL()); err == nil {
		p.webSocket, _ = strconv.Atoi(u.Port())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ports = p
}

// next are the options of the next server. They are read anew, as a server takes
// out of them what it has taken over: the mappings of accounts (nats-server 2.15.2,
// configureAccounts), also of a clone's.
func (e *Engine) next() (*server.Options, error) {
	e.mu.Lock()
	p := e.ports
	e.mu.Unlock()
	quiet := e.opts
	quiet.Logger = slog.New(slog.DiscardHandler) // New has said what there was to say
	o, err := parseConfig(quiet, e.vars)
	if err != nil {
		return nil, err
	}
	if p.client != 0 {
		o.Port = p.client
	}
	if p.cluster != 0 && o.Cluster.Port != 0 {
		o.Cluster.Port = p.cluster
	}
	if p.webSocket != 0 && o.Websocket.Port != 0 {
		o.Websocket.Port = p.webSocket
	}
	return o, nil
}
