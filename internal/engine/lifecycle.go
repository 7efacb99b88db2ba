package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Start returns when the server takes connections and the streams and the bucket
// exist. When the context ends, or after Options.ReadyTimeout, it gives up and
// leaves nothing behind; ending takes until the server has read its streams. An
// Engine has one life: a second Start, also after Stop, is ErrStarted.
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
	log := newServerLog(e.logger, e.troubled)
	if err := e.bringOver(); err != nil {
		return err
	}
	options, err := e.next()
	if err != nil {
		return err
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return err
	}
	srv.SetLoggerV2(log, e.server.Debug, false, false)
	booted, ok := e.launch(srv)
	if !ok {
		return ErrNotRunning
	}
	if err := ready(ctx, srv, booted, log); err != nil {
		return err
	}
	e.settle(srv)
	return e.makeStreams(ctx)
}

// launch starts the server unless Stop was faster. The channel is closed when the
// server's own Start has returned, which Stop waits for: Shutdown works only once,
// and not on a server that is still starting.
func (e *Engine) launch(srv *server.Server) (booted chan struct{}, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == stateStopped {
		return nil, false
	}
	booted = make(chan struct{})
	e.srv, e.booted = srv, booted
	go func() { // ends when the server has read its streams back; Stop waits for it
		defer close(booted)
		srv.Start()
	}()
	return booted, true
}

// ready waits until the server takes connections, has said why it cannot, or the
// context ends.
func ready(ctx context.Context, srv *server.Server, booted <-chan struct{}, log *serverLog) error {
	if err := wait(ctx, booted); err != nil {
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
	conns := e.conns
	e.conns = nil
	e.mu.Unlock()

	if first {
		go func() { // ends with the server
			defer close(e.ended)
			for _, nc := range conns {
				nc.Close()
			}
			if ending := e.retire(); ending != nil {
				<-ending
			}
		}()
	}
	if err := wait(ctx, e.ended); err != nil {
		return fmt.Errorf("the NATS server has not stopped yet: %w", err)
	}
	return nil
}

// retire begins to end the server that there is. The channel is closed when it, or
// the one before, has ended; nil when there was none.
func (e *Engine) retire() (ending <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv == nil {
		return e.ending
	}
	srv, booted, ended := e.srv, e.booted, make(chan struct{})
	e.srv, e.booted, e.ending = nil, nil, ended
	go func() { // ends with the server
		defer close(ended)
		<-booted
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	return ended
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
