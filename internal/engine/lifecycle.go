package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Start returns when the server takes connections and the streams and the bucket
// exist. It gives up when the context ends or after Options.ReadyTimeout, and then
// leaves nothing behind. An Engine has one life: a second Start, also after Stop,
// is ErrStarted.
func (e *Engine) Start(ctx context.Context) error {
	e.mu.Lock()
	if e.state != stateNew {
		e.mu.Unlock()
		return ErrStarted
	}
	e.state = stateStarting
	e.mu.Unlock()

	startCtx, cancel := context.WithTimeout(ctx, e.opts.ReadyTimeout)
	defer cancel()
	err := e.boot(startCtx)
	if err == nil && !e.enter(stateRunning) {
		err = ErrNotRunning // stopped while starting
	}
	if err != nil {
		stopErr := e.Stop(context.WithoutCancel(ctx))
		return errors.Join(fmt.Errorf("cannot start the NATS server: %w", err), stopErr)
	}
	e.warnOfOpenListener()
	return nil
}

func (e *Engine) boot(ctx context.Context) error {
	log := newServerLog(e.logger)
	srv, err := server.NewServer(e.server.Clone())
	if err != nil {
		return err
	}
	srv.SetLoggerV2(log, e.server.Debug, false, false)
	e.mu.Lock()
	stopped := e.state == stateStopped
	if !stopped {
		e.srv = srv
	}
	e.mu.Unlock()
	if stopped {
		return ErrNotRunning
	}
	if err := runServer(ctx, srv, log); err != nil {
		return err
	}
	return e.makeStreams(ctx)
}

// runServer starts the server and waits until it is ready, has said why it cannot
// be, or the context ends.
func runServer(ctx context.Context, srv *server.Server, log *serverLog) error {
	done := make(chan struct{})
	go func() { // ends when Start has read the streams back from disk, or by Shutdown
		defer close(done)
		srv.Start()
	}()
	if err := wait(ctx, done); err != nil {
		return fmt.Errorf("it was not ready in time: %w", err)
	}
	for {
		if err := log.fatal(); err != nil {
			return err
		}
		if srv.ReadyForConnections(20 * time.Millisecond) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("it was not ready in time: %w", ctx.Err())
		}
	}
}

// enter moves on unless Stop was called in between.
func (e *Engine) enter(next state) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == stateStopped {
		return false
	}
	e.state = next
	return true
}

// Stop closes the connections that Connect gave out and ends the server; messages
// that were acknowledged are on disk. It returns when every goroutine has ended or
// the context has; a later call waits again. Without Start it does nothing.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	first := e.state != stateStopped
	e.state = stateStopped
	srv, conns := e.srv, e.conns
	e.conns = nil
	e.mu.Unlock()

	if first {
		go func() { // ends with the server
			defer close(e.ended)
			end(srv, conns)
		}()
	}
	if err := wait(ctx, e.ended); err != nil {
		return fmt.Errorf("the NATS server has not stopped yet: %w", err)
	}
	return nil
}

func end(srv *server.Server, conns []*nats.Conn) {
	for _, nc := range conns {
		nc.Close()
	}
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// warnOfOpenListener says what an operator may not expect: PROXY headers are
// believed from everybody who reaches the listener (nats-server 2.15.2 has no list
// of trusted senders).
func (e *Engine) warnOfOpenListener() {
	addr, ok := e.srv.Addr().(*net.TCPAddr)
	if ok && !addr.IP.IsLoopback() {
		e.logger.Warn("the NATS listener is not on loopback: keep it private, whoever reaches it can claim any client address", "listen", addr.String())
	}
}
